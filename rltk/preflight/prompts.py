"""What a recipe asks: prompts as they will be asked, gold answers of problems, and what is in training and test."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rltk_eval.answers import gold_answer
from rltk_eval.audit import as_completion
from rltk_eval.boxes import last_boxes
from rltk_eval.grading import grade_by_kind
from transformers import PreTrainedTokenizerBase

from rltk.data.asked import load_asked
from rltk.data.problems import Problem, columns_of, parts
from rltk.data.prompt import PromptRenderer, misfit
from rltk.data.rows import is_file, read_rows
from rltk.preflight.found import Found, Looked, Shown, of_rows
from rltk.preflight.repeats import repeats
from rltk.recipe.schema import Data, Recipe

GRADED = 500
"""Gold solutions that are graded as completions; `rltk audit gold` grades all."""
COMMA, NEGATIVE = re.compile(r"\d,\d"), re.compile(r"\s*\$?\s*-\s*\$?\s*\d")


def look_at_prompts(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, context: int | None, *, most: int) -> Looked:
    """`most` rows are shown; all are read, rendered and counted."""
    problems = load_asked(recipe.data, "train")
    renderer, limit = PromptRenderer(tokenizer, recipe.data), recipe.rollout.max_new_tokens
    prompts = {problem.id: renderer.tokens(problem) for problem in problems}
    shown = [Shown(one.id, renderer.text(one), len(prompts[one.id]), one.answer) for one in problems[:most]]
    long = [id for id, prompt in prompts.items() if misfit(prompt, max_new_tokens=limit, context=context) is not None]
    what = f"prompts are empty, or leave no room for {limit} new tokens in the model's context: left out, none is cut"
    test = [] if is_file(recipe.data) else load_asked(recipe.data, "test")
    found = [
        *of_rows("warning", "left_out", what, long),
        *(of_answers(recipe.data) if recipe.data.has_answers else ()),
        *of_levels([*problems, *test]),
        *repeats(texts(problems), texts(test), what="problems" if recipe.data.has_answers else "prompts"),
    ]
    return Looked(shown, found, [len(prompt) for prompt in prompts.values()])


def texts(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    return [(problem.id, repr(problem.messages) if problem.messages else problem.question) for problem in problems]


def of_levels(problems: Sequence[Problem]) -> list[Found]:
    odd = [problem.id for problem in problems if problem.level is not None and not problem.level.isdecimal()]
    return of_rows("note", "odd_level", "problems have a level that is no number", odd)


class Gold(NamedTuple):
    id: str
    solution: str
    """As the row has it."""

    @property
    def answer(self) -> str:
        """As it is written: after the last ####, in the last box, or all of it."""
        _, is_marked, after = self.solution.rpartition("####")
        if is_marked:
            return after
        boxes = last_boxes(self.solution, 1)
        return (boxes[-1].content or "") if boxes else self.solution


def of_answers(data: Data) -> Iterator[Found]:
    """Gold answers as written in the rows; that all but a few can be read was seen to when they were loaded."""
    if data.is_embedded:
        return
    golds = list(read_golds(data))
    unreadable = [gold.id for gold in golds if not is_readable(gold, data)]
    yield from of_rows("warning", "unreadable_gold", "gold answers cannot be read: left out", unreadable)
    commas = [gold.id for gold in golds if COMMA.search(gold.answer)]
    negative = [gold.id for gold in golds if NEGATIVE.match(gold.answer)]
    yield from of_rows("note", "comma", "gold answers have commas, which are read", commas)
    yield from of_rows("note", "negative", "gold answers are negative", negative)
    sample = golds[:GRADED]
    written = [as_completion(gold.solution, data.answer_kind) for gold in sample]
    grades = grade_by_kind(written, [gold.solution for gold in sample], [data.answer_kind for _ in sample])
    unrewarded = [gold.id for gold, grade in zip(sample, grades, strict=True) if not grade.correct]
    what = f"of the first {len(sample):,} gold solutions would earn no reward as completions; see `rltk audit gold`"
    yield from of_rows("warning", "unrewarded", what, unrewarded)


def is_readable(gold: Gold, data: Data) -> bool:
    try:
        gold_answer(gold.solution, kind=data.answer_kind)
    except ValueError:
        return False
    return True


def read_golds(data: Data) -> Iterator[Gold]:
    for part, prefix in parts(data, data.train):
        for index, row in enumerate(read_rows(part, data.train, columns_of(part))):
            yield Gold(f"{prefix}/{index}", str(row.values[data.answer]))
