"""The catalogue of findings is complete, and every entry can be acted on."""

import pytest
from pydantic import ValidationError

from rltk.compare.catalogue import ComparisonOf, Finding, Function, Reanalysis, choose, load_catalogue
from rltk.compare.experiments import EXPERIMENTS
from rltk.compare.measure import settings_of
from rltk.errors import UserError
from rltk.recipe.load import read_override

DOCUMENTED = [
    "INV-0",
    "INV-1",
    "INV-2",
    "CAP-1",
    "CAP-2",
    "CAP-3",
    "CAP-4",
    "CAP-5",
    "CAP-6",
    "RANK-1",
    "LR-1",
    "LR-2",
    "LR-3",
    "LR-4",
    "LR-5",
    "LR-6",
    "LR-7",
    "BS-1",
    "LAY-0",
    "LAY-1",
    "LAY-2",
    "NTK-1",
    "RL-1",
    "RL-2",
    "RL-3",
    "RL-4",
    "RL-5",
    "RL-6",
    "RL-7",
    "RL-8",
    "RL-9",
    "RL-10",
    "PPO-1",
    "RM-1",
    "RM-2",
    "RM-3",
    "RM-4",
    "DPO-1",
    "SC-1",
    "SC-2",
    "SC-3",
    "FG-1",
    "FG-2",
    "SP-1",
    "SP-2",
    "EFF-1",
    "EFF-2",
    "EFF-3",
    "EFF-4",
]
"""Every finding that the project knows of."""
CATALOGUE = load_catalogue()
FUNCTIONS = [finding for finding in CATALOGUE.values() if isinstance(finding.experiment, Function)]
COMPARISONS = [finding for finding in CATALOGUE.values() if isinstance(finding.experiment, ComparisonOf)]
RECIPES = {"gsm8k_grpo", "gsm8k_sft", "gsm8k_ppo", "hh_reward_model", "hh_dpo"}


def test_every_documented_finding_has_an_entry() -> None:
    assert len(DOCUMENTED) == 49
    assert sorted(CATALOGUE) == sorted(DOCUMENTED)


def test_the_quick_tier_is_what_ci_measures() -> None:
    quick = [finding.id for finding in CATALOGUE.values() if finding.tier == 0]
    assert quick == ["INV-0", "INV-1", "LR-3", "EFF-1", "EFF-2", "LAY-0"]
    assert {CATALOGUE[id].experiment.type for id in quick} == {"function"}


@pytest.mark.parametrize("key", ["claim", "source", "rule", "reference", "measure", "status", "grade", "experiment"])
def test_an_entry_without_what_it_rests_on_is_refused(key: str) -> None:
    entry = CATALOGUE["INV-0"].model_dump()
    Finding.model_validate(entry)
    with pytest.raises(ValidationError, match=key):
        Finding.model_validate({name: value for name, value in entry.items() if name != key})
    if isinstance(entry[key], str):
        with pytest.raises(ValidationError, match=key):
            Finding.model_validate({**entry, key: ""})


@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_every_experiment_exists_and_takes_its_settings(profile: str) -> None:
    assert len(FUNCTIONS) >= 10
    for finding in FUNCTIONS:
        assert isinstance(finding.experiment, Function)
        assert isinstance(settings_of(finding.experiment, profile), EXPERIMENTS[finding.experiment.name].settings)  # pyright: ignore[reportArgumentType]
    assert {finding.experiment.name for finding in FUNCTIONS} == EXPERIMENTS.keys()  # pyright: ignore[reportAttributeAccessIssue]


def test_comparisons_are_of_recipes_with_overrides_that_read() -> None:
    assert len(COMPARISONS) >= 15
    for finding in COMPARISONS:
        assert isinstance(finding.experiment, ComparisonOf) and set(finding.experiment.recipes) <= set(RECIPES)
        each = (*finding.experiment.each.laptop, *finding.experiment.each.gpu)
        variants = [override for variant in each for override in variant]
        for override in (*finding.experiment.laptop, *finding.experiment.gpu, *variants):
            assert set(read_override(override).value) <= {
                "compare",
                "model",
                "algo",
                "optim",
                "data",
                "eval",
                "rewards",
            }, finding.id
        assert any("full" in override for override in finding.experiment.laptop), f"{finding.id} has a full arm"


def test_what_is_read_from_other_runs_names_a_finding_that_makes_some() -> None:
    read = [finding.experiment.of for finding in CATALOGUE.values() if isinstance(finding.experiment, Reanalysis)]
    assert len(read) >= 8
    assert all(CATALOGUE[of].experiment.type == "comparison" for of in read)


def test_choosing_by_id_and_tier_takes_each_once() -> None:
    chosen = choose(["RL-1", "INV-0"], 0, CATALOGUE)
    assert [finding.id for finding in chosen] == ["INV-0", "INV-1", "LR-3", "EFF-1", "EFF-2", "LAY-0", "RL-1"]
    assert choose([], None, CATALOGUE) == []
    with pytest.raises(UserError, match=r"there is no finding INV-9; did you mean INV-\d\?"):
        choose(["INV-9"], None, CATALOGUE)
