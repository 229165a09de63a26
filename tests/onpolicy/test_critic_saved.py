"""A critic comes back: loaded in a fresh process as any reward model is, it gives the values that it gave before."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rltk.models.adapters import add_lora
from rltk.models.load import load_weights
from rltk.onpolicy.critic import Critic, make_critic, save_critic
from rltk.onpolicy.learner import Learner
from rltk.recipe.schema import LoRA, Model, Recipe
from tests import fresh, tiny
from tests.onpolicy import made
from tests.onpolicy.made import ARMS
from tests.recipes import recipe

FRESH = """
import json, sys
from rltk_reward_models.scorer import Encoded, Scorer
found = {}
for folder, rows in json.loads(sys.argv[1]).items():
    scorer = Scorer.load(folder)
    found[folder] = scorer.score_encoded([Encoded(ids, len(ids)) for ids in rows])
print(json.dumps(found))
"""


def taught(base: Path, arm: str, **critic: object) -> Learner:
    """A policy and a critic that are no longer what they were."""
    chosen: Recipe = recipe(tune=ARMS[arm], algo={"type": "ppo", "critic": critic})
    loaded = load_weights(Model(path=str(base), dtype="float32"), torch.device("cpu"))
    policy = add_lora(loaded, LoRA(rank=4)) if arm == "lora" else loaded.requires_grad_(True)
    learner = Learner(chosen, policy, lr=1e-3, critic=make_critic(chosen, policy, lr=1e-3))
    return learner


def moved(critic: Critic) -> Critic:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in critic.trained:
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return critic


def test_adapter_and_model_give_the_same_values_in_a_fresh_process(tmp_path: Path) -> None:
    base, asked, expected = tiny.folder(tmp_path / "base"), dict[str, list[list[int]]](), dict[str, list[float]]()
    batch = made.episodes()[:3]
    for arm in ARMS:
        learner, folder = taught(base, arm), tmp_path / arm
        assert learner.critic is not None
        save_critic(moved(learner.critic), tiny.tokenizer(), folder)
        states = [(episode, t) for episode in batch for t in range(len(episode.tokens_T))]
        asked[str(folder)] = [episode.prompt + episode.tokens_T[:t].tolist() for episode, t in states]
        expected[str(folder)] = torch.cat(learner.forward.values(batch)).tolist()
        assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".jinja"}
    found = fresh.answer(FRESH, json.dumps(asked))
    assert found.keys() == expected.keys()
    for folder, values in expected.items():
        assert found[folder] == pytest.approx(values, abs=1e-4)
        assert max(map(abs, values)) > 0.1


def test_a_critic_starts_from_another(tmp_path: Path) -> None:
    """What one run leaves in `critic/` the next may begin with."""
    base, batch = tiny.folder(tmp_path / "base"), made.episodes()[:3]
    for arm in ARMS:
        first = taught(base, arm)
        assert first.critic is not None and not torch.cat(first.forward.values(batch)).any()
        save_critic(moved(first.critic), tiny.tokenizer(), tmp_path / arm)
        second = taught(base, arm, **{"from": str(tmp_path / arm)})
        torch.testing.assert_close(
            torch.cat(second.forward.values(batch)), torch.cat(first.forward.values(batch)), rtol=0, atol=1e-5
        )
        assert second.critic is not None and all(weight.requires_grad for weight in second.critic.trained)


def test_a_head_is_one_tensor(tmp_path: Path) -> None:
    learner = taught(tiny.folder(tmp_path / "base"), "full", type="head")
    assert learner.critic is not None
    save_critic(moved(learner.critic), tiny.tokenizer(), tmp_path / "critic")
    saved = load_file(tmp_path / "critic" / "head.safetensors")
    assert list(saved) == ["score.weight"] and torch.equal(saved["score.weight"], learner.critic.head.weight)
