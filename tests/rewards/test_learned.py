"""Learned rewards: on the policy's own base or beside it, from a server that may die, in runs from the command line."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rltk_reward_models.scorer import Scorer

from rltk.cli import main
from rltk.data.asked import load_asked
from rltk.data.prompt import PromptRenderer
from rltk.errors import UserError
from rltk.models.adapters import add_lora
from rltk.models.load import load_weights
from rltk.models.roles import fits
from rltk.recipe.schema import LoRA, Model, ModelReward
from rltk.rewards.judge import Judge, Sample
from rltk.rewards.learned import BaseScorer, ModelScorer
from rltk.rewards.scorers import make_scorers
from rltk.rewards.text import scored_text
from rltk.rollout.sampler import Rollout
from tests import runs, tiny
from tests.recipes import recipe
from tests.reward_models import models
from tests.reward_models.processes import Server, Servers

CPU = torch.device("cpu")
REPLIES = ("I would rather not.", "Of course! The red box.", "Sure", "a b c d e f g")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.guesser(tmp_path_factory.mktemp("policy") / "policy", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def adapter(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.adapter(tmp_path_factory.mktemp("adapter") / "reward", policy)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


def with_lora(folder: Path) -> PeftModel:
    return add_lora(load_weights(Model(path=str(folder), dtype="float32"), CPU), LoRA(rank=4))


def dialogue_recipe(policy: Path, rewards: dict[str, Any], **sections: Any) -> Any:
    data = {"path": "embedded/dialogues", "size": 16, "levels": (1, 2, 3)}
    return recipe(model={"path": str(policy)}, data=data, rewards=rewards, **sections)


def samples(renderer: PromptRenderer, chosen: Any) -> list[Sample]:
    """Replies as a policy would have written them: up to the end-of-text token, but for the last, which was cut off."""
    made: list[Sample] = []
    tokenizer = renderer.tokenizer
    for problem, reply in zip(load_asked(chosen.data, "train"), REPLIES, strict=False):
        prompt, is_cut = renderer.tokens(problem), reply == REPLIES[-1]
        bare = Sample(problem, prompt, Rollout(torch.tensor([]), torch.tensor([]), is_cut), reply)
        tokens = tokenizer.encode(scored_text(renderer, bare, tokenizer), add_special_tokens=False)[len(prompt) :]
        made.append(bare._replace(rollout=Rollout(torch.tensor(tokens), torch.zeros(len(tokens)), is_cut)))
        assert (made[-1].rollout.tokens_T[-1].item() == tokenizer.eos_token_id) != is_cut
    return made


def test_an_adapter_on_the_policys_base_scores_as_it_does_alone(policy: Path, adapter: Path) -> None:
    chosen, model = dialogue_recipe(policy, {"quality": {"type": "model", "path": str(adapter)}}), with_lora(policy)
    before = {weight.data_ptr() for name, weight in model.named_parameters() if "lora_" not in name}
    renderer = PromptRenderer(tiny.tokenizer(), chosen.data)
    scorers = make_scorers(chosen, model, renderer.tokenizer, torch.float32)
    assert isinstance(scorers["quality"], BaseScorer)
    assert {weight.data_ptr() for name, weight in model.named_parameters() if "lora_" not in name} == before
    given = samples(renderer, chosen)
    reward = chosen.rewards["quality"]
    assert isinstance(reward, ModelReward)
    alone = ModelScorer("quality", reward, adapter, renderer, CPU, 4096)(given)
    found = scorers["quality"](given)
    assert found == pytest.approx(alone, abs=1e-4)
    assert len({round(score, 3) for score in alone}) == len(alone)
    with torch.no_grad():  # what the policy learns does not touch its reward
        for name, weight in model.named_parameters():
            if ".default." in name:
                weight.add_(1.0)
    assert scorers["quality"](given) == found


def test_a_server_scores_a_completion_as_the_same_model_does_by_its_path(
    policy: Path, adapter: Path, servers: Servers
) -> None:
    """Also one that was cut off, in which nobody reads an end; in both forms that a server is sent."""
    url = servers.start(adapter).url
    forms = {send: {"type": "server", "url": url, "send": send} for send in ("messages", "text")}
    chosen = dialogue_recipe(policy, {"path": {"type": "model", "path": str(adapter)}, **forms})
    renderer = PromptRenderer(tiny.tokenizer(), chosen.data)
    scorers = make_scorers(chosen, with_lora(policy), renderer.tokenizer, torch.float32)
    given = samples(renderer, chosen)
    by_path = scorers["path"](given)
    assert scorers["messages"](given) == pytest.approx(by_path, abs=1e-4)
    assert scorers["text"](given) == pytest.approx(by_path, abs=1e-4)
    *_, cut_off = given
    ended = cut_off._replace(rollout=cut_off.rollout._replace(is_truncated=False))
    assert scorers["messages"]([ended]) != pytest.approx(by_path[-1:], abs=1e-2), "the end is no small matter"


def test_where_the_end_token_pads_the_score_is_read_before_it(policy: Path, adapter: Path, tmp_path: Path) -> None:
    """As transformers does, which the reward model was trained with and is scored with alone."""
    folder = tmp_path / "reward"
    shutil.copytree(adapter, folder)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"pad_token": told["eos_token"]}))
    scores = {}
    for path in (adapter, folder):
        chosen, model = dialogue_recipe(policy, {"quality": {"type": "model", "path": str(path)}}), with_lora(policy)
        renderer, reward = PromptRenderer(tiny.tokenizer(), chosen.data), chosen.rewards["quality"]
        given = samples(renderer, chosen)
        assert isinstance(reward, ModelReward)
        alone = ModelScorer("quality", reward, path, renderer, CPU, 4096)(given)
        scores[path] = make_scorers(chosen, model, renderer.tokenizer, torch.float32)["quality"](given)
        assert scores[path] == pytest.approx(alone, abs=1e-4)
    assert [a == b for a, b in zip(scores[adapter], scores[folder], strict=True)] == [False, False, False, True]


def test_an_adapter_that_was_trained_on_few_tokens_reads_the_last_of_them(
    policy: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reward"
    shutil.copytree(adapter, folder)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"model_max_length": 12}))
    found = {}
    for path in (adapter, folder):
        chosen, model = dialogue_recipe(policy, {"quality": {"type": "model", "path": str(path)}}), with_lora(policy)
        renderer, reward = PromptRenderer(tiny.tokenizer(), chosen.data), chosen.rewards["quality"]
        given = samples(renderer, chosen)
        assert isinstance(reward, ModelReward) and all(len(one.prompt) > 12 for one in given)
        alone = ModelScorer("quality", reward, path, renderer, CPU, 4096)(given)
        found[path] = make_scorers(chosen, model, renderer.tokenizer, torch.float32)["quality"](given)
        assert found[path] == pytest.approx(alone, abs=1e-4)
    assert found[folder] != pytest.approx(found[adapter], abs=1e-4)


def test_a_completion_without_numbers_has_no_score(policy: Path, adapter: Path) -> None:
    chosen, model = dialogue_recipe(policy, {"quality": {"type": "model", "path": str(adapter)}}), with_lora(policy)
    renderer = PromptRenderer(tiny.tokenizer(), chosen.data)
    whole = samples(renderer, chosen)
    nothing = Rollout(torch.tensor([], dtype=torch.long), torch.tensor([]), True, True)
    scorer = make_scorers(chosen, model, renderer.tokenizer, torch.float32)["quality"]
    found = scorer([whole[0], whole[1]._replace(rollout=nothing), whole[2]])
    assert found[1] is None and [found[0], found[2]] == pytest.approx(scorer([whole[0], whole[2]]), abs=1e-5)


def test_an_adapter_of_another_base_gets_a_model_of_its_own(policy: Path, tmp_path: Path) -> None:
    """Of the same shape, and other weights."""
    other = runs.guesser(tmp_path / "other", seed=5, tie_word_embeddings=True)
    folder, model = models.adapter(tmp_path / "reward", other), with_lora(policy)
    assert not fits(model, folder) and fits(with_lora(other), folder)
    chosen = dialogue_recipe(policy, {"quality": {"type": "model", "path": str(folder)}})
    scorers = make_scorers(chosen, model, tiny.tokenizer(), torch.float32)
    assert isinstance(scorers["quality"], ModelScorer)


def damaged(adapter: Path, folder: Path, how: str) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, folder)
    if how == "task_type":
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps(config | {"task_type": "CAUSAL_LM"}))
    if how == "head":
        weights = load_file(folder / "adapter_model.safetensors")
        save_file({k: v for k, v in weights.items() if "score" not in k}, folder / "adapter_model.safetensors")
    if how == "base":
        (folder / "base.json").write_text(json.dumps({"sha256_of_bfloat16_sample": "0" * 64}))
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("task_type", "has task_type 'CAUSAL_LM', a reward model needs SEQ_CLS"),
        ("head", "holds no score head, which would be random"),
        ("base", "was trained on other weights than those of"),
    ],
)
@pytest.mark.parametrize("role", ["reward", "critic"])
def test_what_is_no_reward_model_is_refused(
    role: str, how: str, said: str, policy: Path, adapter: Path, tmp_path: Path
) -> None:
    from rltk.onpolicy.critic import make_critic

    folder = damaged(adapter, tmp_path / "damaged", how)
    with pytest.raises(UserError) as caught:
        if role == "reward":
            chosen = dialogue_recipe(policy, {"quality": {"type": "model", "path": str(folder)}})
            make_scorers(chosen, with_lora(policy), tiny.tokenizer(), torch.float32)
        else:
            make_critic(recipe(algo={"type": "ppo", "critic": {"from": str(folder)}}), with_lora(policy), lr=1e-3)
    if (role, how) == ("critic", "base"):
        said = "is no LoRA that was trained on the policy's own base"
    assert said in str(caught.value) and str(caught.value).startswith(("rewards.quality.path", "algo.critic.from"))


def test_rewards_add_up_with_their_weights(policy: Path, adapter: Path) -> None:
    rewards = {"a": {"type": "model", "path": str(adapter), "weight": 0.5}, "b": {"type": "gold", "weight": -2.0}}
    chosen, model = dialogue_recipe(policy, rewards), with_lora(policy)
    renderer = PromptRenderer(tiny.tokenizer(), chosen.data)
    judge = Judge(chosen, make_scorers(chosen, model, renderer.tokenizer, torch.float32))
    found = judge.judge(samples(renderer, chosen))
    a, b = ([score for score in found.by_name[name] if isinstance(score, float)] for name in ("a", "b"))
    assert len(a) == len(b) == 4
    assert found.totals == [0.5 * x - 2.0 * y for x, y in zip(a, b, strict=True)]
    assert found.gold == b and not found.grades
    assert found.metrics() == {
        "reward/a": pytest.approx(sum(a) / 4),
        "reward/b": pytest.approx(sum(b) / 4),
        "gold_reward": pytest.approx(sum(b) / 4),
    }


def write(folder: Path, policy: Path, rewards: dict[str, Any], **sections: Any) -> Path:
    """A PPO recipe on dialogues, of few and short steps."""
    path = runs.write_recipe(folder, policy)
    import yaml

    base = yaml.safe_load(path.read_text())
    base |= {"data": {"path": "embedded/dialogues", "size": 64}, "rewards": rewards}
    base["algo"] = {"type": "ppo", "prompts": 8, "kl": 0.05, "kl_target": 1.0}
    base["eval"] = {"limit": 6, "samples": 1, "batch": 8, "every": 2}
    for name, value in sections.items():
        base[name] = {**base[name], **value} if isinstance(value, dict) and name != "tune" else value
    path.write_text(yaml.safe_dump(base), encoding="utf-8")
    return path


@pytest.mark.parametrize(("tune", "critic"), [("lora", "adapter"), ("full", "model"), ("full", "head")])
def test_a_run_against_a_reward_model_leaves_policy_critic_and_rewards(
    tune: str, critic: str, policy: Path, adapter: Path, tmp_path: Path
) -> None:
    rewards, run = {"quality": {"type": "model", "path": str(adapter)}}, tmp_path / "run"
    kind = {"type": "lora", "rank": 4} if tune == "lora" else {"type": "full"}
    algo = {"critic": {"type": critic}}
    path = write(tmp_path, policy, rewards, tune=kind, algo=algo, optim={"steps": 3, "lr": 0.003})
    assert main(["train", str(path), "--quiet", "--run", str(run)]) == 0
    rows = runs.rows(run / "metrics.jsonl")
    told = {"reward", "gold_reward", "value_loss", "explained_variance", "kl_coefficient"}
    assert all(told <= row.keys() for row in rows)
    assert {"heldout_reward", "heldout_gold_reward"} <= rows[1].keys()
    assert rows[0]["kl_coefficient"] == 0.05 and rows[2]["kl_coefficient"] != 0.05
    scores = runs.read(run / "scores.json")
    for when in ("before", "after"):
        score, items = scores[when]["dialogues"], runs.rows(run / "items" / f"{when}-dialogues.jsonl")
        greedy = [item for item in items if item["decoding"] == "greedy"]
        assert "accuracy" not in score and score["n"] == 6 and len(items) == 12
        assert score["reward"] == pytest.approx(sum(item["reward"] for item in greedy) / 6)
        assert score["rewards"]["quality"]["reward"] == score["reward"]
        assert score["gold_reward"]["reward"] == pytest.approx(sum(item["gold_reward"] for item in greedy) / 6)
        assert score["ci95"][0] < score["reward"] < score["ci95"][1]
        assert {"id", "prompt", "completion", "rewards", "tokens"} <= items[0].keys()
    saved = sorted(path.name for path in (run / "critic").iterdir() if path.suffix == ".safetensors")
    assert saved == [{"adapter": "adapter_model", "model": "model", "head": "head"}[critic] + ".safetensors"]
    assert not (run / "model" / "critic").exists() and not (run / "model" / "reward_quality").exists()
    if critic != "head":
        assert is_critic(run / "critic", policy)


def is_critic(folder: Path, policy: Path) -> bool:
    """It loads in a fresh process as a reward model does, and says something."""
    scorer = Scorer.load(folder, base=str(policy) if (folder / "adapter_config.json").exists() else None)
    return any(abs(scored.score) > 1e-6 for scored in scorer.scores(["<|user|>a b c<|assistant|>d", "e f g"]))


def test_a_dead_server_ends_the_run_and_loses_no_step(
    policy: Path, adapter: Path, servers: Servers, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = servers.start(adapter)
    rewards = {"quality": {"type": "server", "url": server.url, "patience": 0.3, "send": "text"}}
    path = write(tmp_path, policy, rewards, optim={"steps": 6}, run={"checkpoint_every": 4}, eval={"every": 0})
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main(["train", str(path), "--quiet", "--run", str(whole)]) == 0
    watcher = threading.Thread(target=kill_after, args=(server, run / "metrics.jsonl", 2))
    watcher.start()
    assert main(["train", str(path), "--quiet", "--run", str(run)]) == 2
    watcher.join()
    said = capfd.readouterr().err
    assert f"{server.url} has given no answer for 0.3 seconds" in said
    assert f"go on with: rltk train {run} --resume" in said
    done = len(runs.rows(run / "metrics.jsonl"))
    assert 2 <= done < 6
    assert runs.names(run / "checkpoints")[-1] == f"step-{done:06d}", "the last step that was made is kept"
    servers.start(adapter, port=server.port)
    assert main(["train", str(run), "--resume", "--quiet"]) == 0
    assert runs.untimed(run) == runs.untimed(whole)
    assert runs.read(run / "scores.json") == runs.read(whole / "scores.json")


def kill_after(server: Server, metrics: Path, steps: int) -> None:
    while not metrics.exists() or len(metrics.read_text().splitlines()) < steps:
        time.sleep(0.01)
    server.kill()


def test_a_reward_that_is_not_there_is_refused_before_anything_is_written(
    policy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, policy, {"quality": {"type": "model", "path": str(tmp_path / "nowhere")}})
    assert main(["train", str(path), "--run", str(tmp_path / "run")]) == 2
    assert f"rewards.quality.path = {tmp_path / 'nowhere'} does not exist" in capfd.readouterr().err
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert ModelReward(path="x").weight == 1.0
