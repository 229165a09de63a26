"""A reward-model run reads the real HH-RLHF files: every pair is used, left out and counted, or held out."""

from pathlib import Path

import pytest

from rltk.offline.reward_inputs import load_reward_inputs
from rltk.recipe.schema import Recipe


def test_odd_rows_are_said_and_long_pairs_are_counted(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    data = {"path": str(shared_data / "local" / "hh-rlhf-test-resplit"), "kind": "preferences"}
    chosen = Recipe.model_validate(
        {
            "name": "hh",
            "model": {"path": "embedded/policy"},
            "data": data,
            "algo": {"type": "reward_model", "batch": 8, "max_length": 400},
            "tune": {"type": "lora"},
            "optim": {"steps": 20},
            "eval": {"limit": None},
        }
    )
    inputs = load_reward_inputs(chosen)
    training, heldout = inputs.training, inputs.heldout
    assert heldout is not None and len(heldout.pairs) == 1255
    assert len(training.examples) + len(training.left_out) == 7250
    assert training.left_out and all("and algo.max_length" in reason for reason in training.left_out.values())
    assert training.report is not None and "7,250 rows gave 7,250 pairs." in training.report
    for kind in (
        "13 with sides that differ before the last turn",
        "21 with several turns of one role in a row",
        "1 with an empty turn before the reply",
        "1 with a reply that goes on as the user",
    ):
        assert kind in training.report
    assert not {pair.prompt[0] for pair in heldout.pairs} & {pair.prompt[0] for pair in training.examples}
