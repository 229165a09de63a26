"""What `rltk export` writes is loaded by plain transformers and PEFT elsewhere, and writes what the run writes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from rltk.cli import main
from rltk.errors import UserError
from rltk.export import fresh
from rltk.export.card import recipe_yaml, results
from rltk.export.faithful import refuse_unfaithful
from rltk.export.hub import push
from rltk.export.load import load_tokenizer_of, load_trained
from rltk.export.source import Source, find_source
from rltk.models.load import stop_tokens
from rltk.recipe.resolved import resolved
from rltk.recipe.schema import Recipe
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling
from tests import asked, runs
from tests.export.hub import TOKEN, Hub, running_hub

TOKENS = 6
ELSEWHERE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import fresh, torch
assert not any(name.partition(".")[0].startswith("rltk") for name in sys.modules)
ids, found = json.loads(sys.argv[2]), {}
for folder in sys.argv[3:]:
    with torch.no_grad():
        answer = fresh.answer(fresh.load(folder, False, None), {"ids": ids, "tokens": %d})
    found[folder] = [answer[f"completion.{index}"].tolist() for index in range(len(ids))]
print(json.dumps(found))
"""


def trained(kind: str, guesser: Path, folder: Path) -> Path:
    optim = {"steps": 3, "lr": 0.01 if kind == "lora" else 0.003}
    tune = {"type": kind, "rank": 4} if kind == "lora" else {"type": kind}
    recipe = runs.write_recipe(folder, guesser, tune=tune, optim=optim)
    assert main(["train", str(recipe), "--run", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def lora(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("lora", guesser, tmp_path_factory.mktemp("lora"))


@pytest.fixture
def export(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    return asked.answers("export", capfd)


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    return asked.refusals("export", capfd)


def prompts(run: Path, count: int = 40) -> list[list[int]]:
    tokenizer = load_tokenizer_of(find_source(str(run)))
    return [tokenizer.encode(f"What is {i} and {3 * i}?", add_special_tokens=False) for i in range(count)]


def own_completions(run: Path) -> list[list[int]]:
    """Of the run, by the engine it was sampled with."""
    source = find_source(str(run))
    model = load_trained(source)
    stops = stop_tokens(model, load_tokenizer_of(source))  # pyright: ignore[reportArgumentType]
    sampler = NativeSampler(model, stops=stops, batch=None, dtype=torch.float32)
    groups = sampler.sample(prompts(run), 1, Sampling(TOKENS, 0.0), seed=0)
    return [rollout.tokens_T.tolist() for [rollout] in groups]


def completions_elsewhere(run: Path, *folders: Path) -> list[list[list[int]]]:
    """Of each folder, by transformers' `generate` in a process that has not imported rltk."""
    where = str(Path(fresh.__file__).parent)
    command = [sys.executable, "-c", ELSEWHERE % TOKENS, where, json.dumps(prompts(run)), *map(str, folders)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    return [found[str(folder)] for folder in folders]


def test_an_adapter_is_whole_and_writes_what_the_run_writes(
    lora: Path, guesser: Path, export: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "adapter"
    made = export(lora, out)
    assert (made["form"], made["out"]) == ("adapter", str(out))
    assert made["difference"] <= 1e-4
    assert runs.names(tmp_path / "new") == ["adapter"]
    config, saved = runs.read(out / "adapter_config.json"), runs.read(lora / "model" / "adapter_config.json")
    assert config["base_model_name_or_path"] == str(guesser.resolve())
    assert (config["r"], config["lora_alpha"], config["task_type"]) == (4, 32, "CAUSAL_LM")
    assert sorted(config["target_modules"]) == sorted(saved["target_modules"])
    assert not list(out.glob("*.bin")) and (out / "tokenizer.json").exists()
    check_card((out / "README.md").read_text(), lora)
    [found] = completions_elsewhere(lora, out)
    assert found == own_completions(lora)
    assert len({tuple(tokens) for tokens in found}) > 1


def check_card(card: str, run: Path) -> None:
    front = yaml.safe_load(card.split("---")[1])
    assert (front["library_name"], front["tags"]) == ("peft", ["rltk", "grpo", "lora"])
    assert "base_model" not in front, "a folder of this machine is no model of the hub"
    manifest, scores = runs.read(run / "manifest.json"), runs.read(run / "scores.json")
    low, high = scores["after"]["test"]["ci95"]
    assert f"{100 * scores['after']['test']['accuracy']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]" in card
    assert manifest["recipe_hash"] in card and "| seed | 0 |" in card
    recipe = yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])
    assert recipe["optim"] == manifest["recipe"]["optim"] and recipe["tune"] == manifest["recipe"]["tune"]
    assert str(run.parent) not in card, "where it lay is nobody's business"


def test_a_card_names_no_place_of_this_machine(tmp_path: Path) -> None:
    rewards = {
        "mine": {"type": "python", "path": f"{tmp_path}/mine.py"},
        "rm": {"type": "model", "path": f"{tmp_path}/rm"},
    }
    values = {"name": "t", "model": {"path": "a/b"}, "data": {"path": f"{tmp_path}/rows.jsonl"}, "rewards": rewards}
    sections = {"algo": {"type": "grpo"}, "tune": {"type": "lora"}, "run": {"dir": f"{tmp_path}/runs"}}
    made = Recipe.model_validate(values | sections | {"eval": {"data_root": f"{tmp_path}/sets"}})
    text = recipe_yaml(Source(tmp_path, {"recipe": resolved(made)}, made, {}, {}, None))
    told = yaml.safe_load(text)
    assert str(tmp_path) not in text and (told["model"]["path"], told["data"]["path"]) == ("a/b", "rows.jsonl")
    assert (told["rewards"]["mine"]["path"], told["rewards"]["rm"]["path"]) == ("mine.py", "rm")


def test_a_card_tells_rewards_and_losses_as_it_tells_accuracies() -> None:
    chats = {"reward": 1.5, "ci95": [1.0, 2.0], "n": 4}
    loss = {"loss": 0.5, "ci95": [None, None], "n": 9}
    after = {"chats": chats | {"sampled": chats}, "l": loss}
    told = results({"before": {"chats": chats | {"reward": 0.25}}, "after": after})
    assert told.splitlines()[2:5] == [
        "| chats | greedy completions | 0.250 reward [1.000, 2.000] | 1.500 reward [1.000, 2.000] | 4 |",
        "| chats | sampled completions | not measured | 1.500 reward [1.000, 2.000] | 4 |",
        "| l | solutions that were held out | not measured | 0.5000 nats a token | 9 |",
    ]


@pytest.mark.slow
def test_merged_and_fully_trained_models_write_what_their_runs_write(
    lora: Path, guesser: Path, export: Callable[..., Any], tmp_path: Path
) -> None:
    exact, small, whole = tmp_path / "exact", tmp_path / "small", tmp_path / "whole"
    assert export(lora, exact, "--merge")["difference"] < 1e-3
    made = export(lora, small, "--merge", "--dtype", "bfloat16")
    assert (made["form"], made["dtype"]) == ("merged", "bfloat16")
    assert 1e-3 < made["difference"] < 1, "the tiny model's logits are about 10"
    assert {tensor.dtype for tensor in load_file(small / "model.safetensors").values()} == {torch.bfloat16}
    assert 'library_name: "transformers"' in (small / "README.md").read_text()
    full = trained("full", guesser, tmp_path / "full")
    assert export(full, whole)["difference"] <= 1e-4
    of_exact, of_small = completions_elsewhere(lora, exact, small)
    expected = own_completions(lora)
    assert of_exact == expected
    assert sum(one == other for one, other in zip(of_small, expected, strict=True)) >= 0.75 * len(expected)
    assert completions_elsewhere(full, whole) == [own_completions(full)]


@pytest.mark.parametrize(("factor", "dtype"), [(0.0, "float32"), (1e-7, "bfloat16")])
def test_a_merge_that_leaves_the_base_as_it_is_is_refused(
    lora: Path, refused: Callable[..., str], tmp_path: Path, factor: float, dtype: str
) -> None:
    run = shutil.copytree(lora, tmp_path / "run")
    file = run / "model" / "adapter_model.safetensors"
    scaled = {name: weight * factor if "lora_B" in name else weight for name, weight in load_file(file).items()}
    save_file(scaled, file)
    said = refused(run, tmp_path / "out" / "merged", "--merge", "--dtype", dtype)
    assert f"merged in {dtype}, the model would be identical to its base" in said
    assert runs.names(tmp_path) == ["run"]


def test_what_cannot_be_exported_is_said_before_anything_slow(
    lora: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    assert "exists already" in refused(lora, tmp_path / "there")
    assert "is not a folder" in refused(lora, tmp_path / "file" / "out")
    assert "lies within the run" in refused(lora, lora / "out")
    assert "does not exist" in refused(tmp_path / "absent", tmp_path / "out")
    assert "is not a run folder" in refused(tmp_path / "there", tmp_path / "out")
    assert "--dtype is for whole models" in refused(lora, tmp_path / "out", "--dtype", "bfloat16")
    assert "--public is for --push" in refused(lora, tmp_path / "out", "--public")
    run = shutil.copytree(lora, tmp_path / "run")
    shutil.rmtree(run / "model")
    assert "has no model yet; finish it with: rltk train" in refused(run, tmp_path / "out")
    assert runs.names(tmp_path) == ["file", "run", "there"]


def test_on_a_full_disk_nothing_is_left(
    lora: Path, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)  # that of the standard library, by which weights are copied
    assert "is full; make room, then export again" in refused(lora, tmp_path / "deep" / "out")
    assert runs.names(tmp_path) == []


def test_a_hub_out_of_reach_is_said_before_anything_is_written(
    lora: Path, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    said = refused(lora, tmp_path / "out", "--push", "me/mine")
    assert "--push me/mine: the hub did not answer" in said and "are you online?" in said
    assert "is no name of a repository" in refused(lora, tmp_path / "out", "--push", "a/b/c")
    assert runs.names(tmp_path) == []


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


def test_what_is_pushed_is_the_folder_to_the_byte(
    lora: Path, export: Callable[..., Any], hub: Hub, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = export(lora, out, "--push", "me/mine")
    assert made["pushed"] == f"{hub.url}/me/mine" and hub.summaries == ["Exported by rltk"]
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}
    push(out, "me/open", is_public=True)
    assert hub.repositories == {"me/mine": True, "me/open": False}, "private unless asked otherwise"


def test_what_the_hub_does_not_take_is_still_there(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model")
    hub.is_full = True
    with pytest.raises(UserError) as caught:
        push(tmp_path, "me/mine", is_public=False)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path} is written, but the hub did not take it (403 Forbidden")
    assert said.endswith(f"try again with: hf upload me/mine {tmp_path}") and not hub.files


def test_who_the_hub_does_not_know_is_refused_before_anything_is_written(
    lora: Path, refused: Callable[..., str], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert "the hub did not answer (" in refused(lora, tmp_path / "out", "--push", "me/mine")
    assert runs.names(tmp_path) == [] and not hub.repositories


def test_logits_that_differ_or_are_no_numbers_are_refused() -> None:
    own = [torch.tensor([[1.0, 2.0], [3.0, -4.0]])]
    near, far = [own[0] + 1e-5], [own[0] + 0.01]
    assert refuse_unfaithful(own, near, is_exact=True) == pytest.approx(1e-5, rel=0.1)
    assert refuse_unfaithful(own, far, is_exact=False) == pytest.approx(0.01, rel=1e-3)
    for found, is_exact in ((far, True), ([own[0] * float("nan")], False), ([own[0][:1]], False)):
        with pytest.raises(UserError, match="nothing was written"):
            refuse_unfaithful(own, found, is_exact=is_exact)
    with pytest.raises(UserError, match="logits differ by nan"):  # of the last of several texts
        refuse_unfaithful(own * 2, [*near, own[0] * float("nan")], is_exact=False)
