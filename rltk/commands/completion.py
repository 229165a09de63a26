"""`rltk completion SHELL`: a script, made from the commands' own parsers, by which the shell completes them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from string import Template

from rltk.recipe.locate import shipped_recipes

Parsers = Mapping[str, argparse.ArgumentParser]
BASH = Template("""\
# rltk's commands and options, for bash: eval "$$(rltk completion bash)"
_rltk() {
  local word=$${COMP_WORDS[COMP_CWORD]} before=$${COMP_WORDS[COMP_CWORD-1]} words="" options="" values="" recipes=""
  case "$${COMP_WORDS[1]}" in
$options
  esac
  case "$${COMP_WORDS[1]}" in
    $of_recipes) recipes="$recipes" ;;
  esac
  case "$${COMP_WORDS[1]} $$before" in
$choices
  esac
  if [ "$$COMP_CWORD" -eq 1 ]; then
    words="$commands"
    if [[ $$word == -* ]]; then words="$of_all"; fi
  elif [ -n "$$values" ]; then words="$$values"
  elif [[ $$word == -* ]]; then words="$$options"
  elif [ "$$COMP_CWORD" -eq 2 ]; then words="$$recipes"
  fi
  COMPREPLY=($$(compgen -W "$$words" -- "$$word"))
}
complete -o default -F _rltk rltk
""")
ZSH_HEAD = """\
# zsh takes bash's completions: eval "$(rltk completion zsh)"
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
"""
FISH_HEAD = """\
# rltk's commands and options, for fish: rltk completion fish | source
function __rltk_begins # with this command
    set -l words (commandline -opc)
    test "$words[2]" = "$argv"
end
function __rltk_is # all there is so far, after rltk
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"
end"""
OF_ALL = {"help": "list the commands", "version": "say which version this is"}
"""Options of `rltk` itself."""


def completion(shell: str, parsers: Parsers) -> None:
    print(fish(parsers) if shell == "fish" else (ZSH_HEAD if shell == "zsh" else "") + bash(parsers), end="")


def bash(parsers: Parsers) -> str:
    options = [f'    {name}) options="{" ".join(options_of(parser))}" ;;' for name, parser in parsers.items()]
    choices = [
        f'    "{name} {option}") values="{" ".join(map(str, action.choices))}" ;;'
        for name, parser in parsers.items()
        for action in actions(parser)
        if action.choices
        for option in action.option_strings or [name]
    ]
    return BASH.substitute(
        commands=" ".join(parsers),
        of_all=" ".join(f"--{option}" for option in OF_ALL),
        of_recipes="|".join(name for name, parser in parsers.items() if takes_recipe(name, parser)),
        recipes=" ".join(shipped_recipes()),
        options="\n".join(options),
        choices="\n".join(choices),
    )


def fish(parsers: Parsers) -> str:
    lines = [FISH_HEAD]
    first = "complete -c rltk -n '__rltk_is'"
    lines += [f"{first} -l {option} -d {quoted(about)}" for option, about in OF_ALL.items()]
    for name, parser in parsers.items():
        lines.append(f"{first} -f -a {name} -d {quoted(parser.description or '')}")
        if takes_recipe(name, parser):
            lines.append(f"complete -c rltk -n '__rltk_is {name}' -a '{' '.join(shipped_recipes())}' -d recipe")
        within = f"complete -c rltk -n '__rltk_begins {name}'"
        for action in actions(parser):
            lines += fish_lines(within, action)
    return "\n".join(lines) + "\n"


def fish_lines(within: str, action: argparse.Action) -> list[str]:
    takes = "" if action.nargs == 0 else f" -x -a '{' '.join(map(str, action.choices))}'" if action.choices else " -r"
    about = f" -d {quoted(action.help or '')}"
    long = [option.removeprefix("--") for option in action.option_strings if option.startswith("--")]
    if not action.option_strings:
        return [f"{within} -f -a '{' '.join(map(str, action.choices))}'{about}"] if action.choices else []
    return [f"{within} -l {option}{takes}{about}" for option in long]


def takes_recipe(name: str, parser: argparse.ArgumentParser) -> bool:
    """Whether the first word after the command may be the name of a recipe."""
    return name == "recipes" or any(action.dest == "recipe" for action in actions(parser))


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in actions(parser) for option in action.option_strings if option.startswith("--")]


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # argparse has no public list of them


def quoted(text: str) -> str:
    """For fish: in single quotes only these two characters mean more than themselves."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("%%", "%")
    return f"'{escaped}'"
