"""A reward-model run reads the real HH-RLHF files: every pair is trained on or held out."""

from pathlib import Path

import pytest

from rltk.data.preferences import Preference
from rltk.offline.contests import make_contest
from rltk.offline.reward_inputs import load_reward_inputs
from rltk.recipe.schema import Recipe


def test_odd_rows_are_said_and_of_long_pairs_the_last_tokens_are_read(
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
    assert len(training.examples) == 7250 and not training.left_out
    contests = [
        make_contest(pair, inputs.tokenizer, plain="transcript", has_margins=False, most=inputs.reader.most)
        for pair in training.examples[:200]
        if isinstance(pair, Preference)
    ]
    long = [contest for contest in contests if contest.is_truncated]
    assert len(contests) == 200 and long and all(contest.longest == 400 for contest in long)
    assert training.report is not None and "7,250 rows gave 7,250 pairs." in training.report
    for kind in (
        "13 with sides that differ before the last turn",
        "21 with several turns of one role in a row",
        "1 with an empty turn before the reply",
        "1 with a reply that goes on as the user",
    ):
        assert kind in training.report
    assert not {pair.prompt[0] for pair in heldout.pairs} & {pair.prompt[0] for pair in training.examples}
