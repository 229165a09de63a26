"""An on-policy run's adapter gives, in a process of its own, the log-probabilities of the policy that was trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rltk_reward_models.base_file import BASE_FILE
from torch import nn
from transformers import PreTrainedTokenizerBase

from rltk.cli import main
from rltk.models.save import save_model
from tests import fresh, runs

ROWS = torch.randint(5, 60, (4, 17), generator=torch.Generator().manual_seed(0)).tolist()
RUNS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "ppo": {"algo": {"type": "ppo", "epochs": 1}},
    "pissa": {"tune": {"type": "lora", "rank": 4, "init": "pissa"}},
}
FRESH = """
import json, sys, torch
from rltk.evaluation.target import find_target
from rltk.models.bases import attach
from rltk.models.load import load_weights
from tests.onpolicy.test_adapter_saved import logprobs

found = {}
for run in sys.argv[1:]:
    target = find_target(run)
    base = load_weights(target.model, torch.device("cpu"))
    found[run] = [logprobs(base), logprobs(attach(base, target.adapter))]
print(json.dumps(found))
"""


def logprobs(model: nn.Module) -> list[list[float]]:
    """Of each row's tokens but the first."""
    ids_BT = torch.tensor(ROWS)
    with torch.no_grad():
        logprobs_BTV = model(input_ids=ids_BT, use_cache=False).logits[:, :-1].log_softmax(-1)
    return logprobs_BTV.gather(2, ids_BT[:, 1:, None])[..., 0].tolist()


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_logprobs(
    guesser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: dict[str, list[list[float]]] = {}

    def watched(model: nn.Module, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
        assert isinstance(model, PeftModel)
        expected[str(path.parent)] = logprobs(model)
        save_model(model, tokenizer, path)

    monkeypatch.setattr("rltk.onpolicy.session.save_model", watched)
    for name, sections in RUNS.items():
        recipe = runs.write_recipe(tmp_path / name, guesser, **sections)
        assert main(["train", str(recipe), "--quiet", "--run", str(tmp_path / name / "run")]) == 0
        assert (tmp_path / name / "run" / "model" / BASE_FILE).exists()
    found = fresh.answer(FRESH, *expected)
    assert len(found) == len(RUNS)
    for run, (of_base, of_adapter) in found.items():
        torch.testing.assert_close(torch.tensor(of_adapter), torch.tensor(expected[run]), rtol=0, atol=1e-5)
        assert (torch.tensor(of_adapter) - torch.tensor(of_base)).abs().max() > 1e-3, f"{run} has learned"
