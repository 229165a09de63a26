"""What a run saves gives, in a process of its own, the likelihoods that the run scored."""

from pathlib import Path

import pytest

from rltk.cli import main
from tests import fresh, runs
from tests.offline.made import TUNES, write_recipe

FRESH = """
import json, sys, torch
from peft import PeftModel
from rltk.evaluation.target import find_target
from rltk.models.load import load_tokenizer, load_weights
from rltk.offline.inputs import load_inputs
from rltk.offline.pair_scores import likelihoods
from rltk.run.folder import run_recipe
from pathlib import Path

run = Path(sys.argv[1])
target, recipe = find_target(str(run)), run_recipe(run)
model = load_weights(target.model, torch.device("cpu"))
if target.adapter is not None:
    model = PeftModel.from_pretrained(model, str(target.adapter))
inputs = load_inputs(recipe)
pairs = [inputs.reader.pair(pair) for pair in inputs.heldout.pairs]
print(json.dumps(likelihoods(model, pairs, torch.float32, 4096, lambda done, total: None)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("tune", TUNES)
def test_a_fresh_process_gives_the_same_likelihoods(tune: str, guesser: Path, tmp_path: Path) -> None:
    recipe, run = write_recipe(tmp_path, guesser, "dpo", tune=TUNES[tune]), tmp_path / "run"
    assert main(["train", str(recipe), "--quiet", "--run", str(run)]) == 0
    items = runs.rows(run / "items" / "after-train.jsonl")
    before = runs.rows(run / "items" / "before-train.jsonl")
    assert [item["chosen_logprob"] for item in items] != [item["chosen_logprob"] for item in before]
    found = fresh.answer(FRESH, str(run))
    for item, (chosen, rejected) in zip(items, found, strict=True):
        assert chosen == pytest.approx(item["chosen_logprob"], abs=1e-4)
        assert rejected == pytest.approx(item["rejected_logprob"], abs=1e-4)
