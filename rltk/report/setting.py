"""What a comparison was made of, and the recipe that makes it again."""

from __future__ import annotations

from collections.abc import Sequence

from rltk.report.axis import written
from rltk.report.evidence import scale_of, unit_of
from rltk.report.facts import hardware_words, recipe_yaml, version_words
from rltk.report.read import Comparison, Run


def setting(comparison: Comparison, runs: Sequence[Run]) -> dict[str, str]:
    """A line each; what neither the plan nor the manifest of a run says is left out."""
    recipe, found = comparison.plan.get("recipe", {}), comparison.found
    compare, manifest = recipe.get("compare", {}), runs[0].manifest if runs else {}
    facts = {
        "Algorithm": recipe.get("algo", {}).get("type"),
        "Model": recipe.get("model", {}).get("path"),
        "Data": recipe.get("data", {}).get("path"),
        "Evaluated on": found.get("task"),
        "Margin": margin_words(comparison),
        "Learning rates chosen on": compare and f"{compare['tuning_seeds']} seeds, on the validation split",
        "Verdict rests on": f"{len(found['arms'][found['reference']]['seeds'])} fresh seeds",
        "Machine": hardware_words(manifest),
        "Commit": manifest.get("commit"),
        "Versions": version_words(manifest),
    }
    return {key: str(value) for key, value in facts.items() if value}


def margin_words(comparison: Comparison) -> str:
    """`3 points (at least 1, at most 3 ...)`, as the rule that set it says."""
    margin = comparison.found["margin"]
    if margin["value"] is None:
        return ""
    is_share, scale = unit_of(comparison.found) == "share", scale_of(comparison.found)
    value = f"{100 * margin['value']:.3g} points" if is_share else f"{written(margin['value'])} {scale}"
    return f"{value}; {margin['rule']}" if margin.get("rule") else value


def comparison_recipe(comparison: Comparison) -> str:
    """Empty where the folder does not hold what the comparison was begun with."""
    return recipe_yaml(comparison.plan["recipe"]) if "recipe" in comparison.plan else ""
