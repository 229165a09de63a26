"""What the benchmarks compute from their measurements, and that both sides of a comparison are set up alike."""

import json
import math
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import curves, load, load_report, load_targets, record, scale, step
from rltk.onpolicy.assemble import assemble, load_inputs
from rltk.rollout.sampler import Rollout


def test_an_exponent_is_the_slope_between_logarithms() -> None:
    assert scale.exponent([1, 2, 4, 8], [5, 20, 80, 320]) == pytest.approx(2)
    assert scale.exponent([32, 64], [3.0, 3.0]) == pytest.approx(0)
    # By hand: log2 sizes 0, 1, 2 and costs 0, 0, 3 have covariance 3 and variance 2.
    assert scale.exponent([1, 2, 4], [1, 1, 8]) == pytest.approx(1.5)


def test_an_exponent_of_too_little_is_undefined() -> None:
    assert math.isnan(scale.exponent([4], [1.0])) and math.isnan(scale.exponent([4, 4], [1.0, 2.0]))
    assert math.isnan(scale.exponent([1, 2], [0.0, 1.0]))


def test_each_point_is_measured_once() -> None:
    grid = {"length": (32, 64, 128), "group": (2, 4), "hidden": (256, 512)}
    found = scale.points(grid)
    usual = scale.Point()
    assert (usual.length, usual.group, usual.hidden) == (64, 4, 256)  # in all three, and measured once
    assert len(found) == len(set(found)) == 5
    assert set(scale.SHORT["hidden"]) == {128, 256, 512, 1024} and usual in scale.points(scale.SHORT)
    assert all(set(scale.SHORT[axis]) <= set(scale.ALL[axis]) for axis in scale.ALL)


def test_exponents_are_fitted_along_one_axis_of_one_arm() -> None:
    rows = [
        {**vars(point), "tune": tune, "step_bytes": 100 * point.length, "rollout_seconds": {"median": point.length**2},
         "train_seconds": {"median": point.length * (3 if tune == "full" else point.length)}}
        for point in scale.points({"length": (32, 64, 128), "group": (2, 4)}) for tune in scale.TUNES
    ]  # fmt: skip
    found = {tune: scale.fits(rows, "length", (32, 64, 128), tune) for tune in scale.TUNES}
    assert found["lora"] == pytest.approx({"rollout": 2, "training": 2, "memory": 1})
    assert found["full"] == pytest.approx({"rollout": 2, "training": 1, "memory": 1})


@pytest.mark.parametrize("tune", scale.TUNES)
def test_a_point_is_measured(tune: str) -> None:
    """Parameters by hand, at hidden size 64: two query heads of 64 and one of keys and values, an MLP three times as
    wide, norms of the layer, its queries and its keys, and the last one."""
    point = scale.Point(hidden=64, layers=1, prompts=2, group=2, length=5)
    found = scale.measure(point, tune, steps=2)
    heads = {"q_proj": (64, 128), "k_proj": (64, 64), "v_proj": (64, 64), "o_proj": (128, 64)}
    mlp = {"gate_proj": (64, 192), "up_proj": (64, 192), "down_proj": (192, 64)}
    shapes = [*heads.values(), *mlp.values()]
    base = scale.VOCABULARY * 64 + sum(m * n for m, n in shapes) + (2 + 2 + 1) * 64
    assert found["parameters"] == base + (8 * sum(m + n for m, n in shapes) if tune == "lora" else 0)
    for phase in ("rollout_seconds", "train_seconds"):
        assert 0 < found[phase]["min"] <= found[phase]["median"] <= found[phase]["max"]
    assert 0 <= found["rollout_bytes"] <= found["step_bytes"]


def test_every_completion_teaches_and_advantages_of_a_group_cancel() -> None:
    rollout = Rollout(torch.tensor([1]), torch.tensor([-1.0]), is_truncated=True)
    found = scale.episodes([[5], [6]], [[rollout] * 4, [rollout] * 4])
    assert [(episode.prompt, episode.advantage) for episode in found] == [
        (prompt, advantage) for prompt in ([5], [6]) for advantage in (1, -1, 1, -1)
    ]
    assert all(episode.trained_tokens == 1 for episode in found)  # truncated as they are


def test_the_last_third() -> None:
    assert curves.last_third([0, 0, 0, 0, 1, 2]) == 1.5
    assert curves.last_third([0, 0, 0, 0, 7]) == curves.last_third([7]) == 7


@pytest.mark.parametrize(
    ("value", "values", "expected"),
    [
        (0.5, [0.4, 0.6], {"range": True, "two_sd": True}),
        (0.65, [0.4, 0.6], {"range": False, "two_sd": True}),  # mean 0.5, sd 0.141
        (0.8, [0.4, 0.6], {"range": False, "two_sd": False}),
        (0.4, [0.4, 0.4, 0.4], {"range": True, "two_sd": True}),
        (0.4, [0.4], {"range": None, "two_sd": None}),
        (0.4, [], {"range": None, "two_sd": None}),
        (math.nan, [0.4, 0.6], {"range": None, "two_sd": None}),
    ],
)
def test_inside_the_spread_of_seeds(value: float, values: list[float], expected: dict[str, bool | None]) -> None:
    assert curves.inside(value, values) == expected


def settings(**changes: Any) -> dict[str, Any]:
    given = {"model": "embedded/policy", "data": "embedded/word-problems", "prompts": 16, "group": 8}
    return {**given, "max_new_tokens": 96, "steps": 3, "lr": None, **changes}


def kept(folder: Path, **changes: Any) -> Path:
    """A results file in which both seeds of all sides have run: native earns 0.5, generate and TRL about that."""
    ends = {"native": (0.5, 0.5), "generate": (0.4, 0.6), "trl": (0.1, 0.2)}
    runs = [
        {"side": side, "seed": seed, "settings": settings(**changes), "commit": "abc", "reward": [0.0, 0.0, end]}
        for side, both in ends.items()
        for seed, end in enumerate(both)
    ]
    (folder / "curves.json").write_text(json.dumps({"runs": runs}))
    return folder / "curves.json"


def test_finished_runs_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(tmp_path)
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(curves, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["curves", "--steps", "3", "--seeds", "0", "1"])
    curves.main()  # ends at once
    result = json.loads(path.read_text())
    assert len(result["runs"]) == 6 and {run["commit"] for run in result["runs"]} == {"abc"}
    assert result["summary"]["last_third"]["native"] == {"mean": 0.5, "min": 0.5, "max": 0.5, "sd": 0.0}
    assert result["summary"]["native_against"] == {
        "generate": {"range": True, "two_sd": True},
        "trl": {"range": False, "two_sd": False},
    }


def test_runs_of_other_settings_are_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(tmp_path, group=4)
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(curves, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["curves", "--steps", "3", "--seeds", "0", "1"])
    with pytest.raises(SystemExit):
        curves.main()
    assert "has runs of other settings: remove it, or give another --name" in capsys.readouterr().err


def test_rltk_and_trl_are_set_up_alike() -> None:
    """All that could make one side learn faster: rate, adapter, optimizer, loss, sampling, batch, problems."""
    asked = Namespace(
        model="embedded/policy",
        data="embedded/word-problems",
        prompts=2,
        group=4,
        max_new_tokens=7,
        steps=2,
        tune="lora",
    )
    chosen = step.recipe(asked, seed=3, optim={"steps": 5}, data={"size": 20})
    ours = assemble(chosen, load_inputs(chosen), torch.device("cpu")).trainer
    theirs = step.trl_trainer(chosen, step.trl_rows(chosen), [])
    args, optim, algo = theirs.args, chosen.optim, step.on_policy(chosen)
    assert args.learning_rate == ours.learner.lr and args.lr_scheduler_type == optim.schedule
    assert ((args.adam_beta1, args.adam_beta2), args.adam_epsilon) == (optim.betas, optim.eps)
    assert (args.weight_decay, args.max_grad_norm) == (optim.weight_decay, optim.max_grad_norm)
    assert (args.warmup_steps, args.max_steps, args.seed) == (optim.warmup, optim.steps, chosen.seed)
    assert (args.loss_type, args.beta, args.scale_rewards) == (algo.loss, algo.kl, "none")
    assert args.mask_truncated_completions == algo.mask_truncated
    assert (args.epsilon, args.epsilon_high or args.epsilon) == (algo.clip_low, algo.clip_high)
    assert (args.num_iterations, args.steps_per_generation) == (algo.epochs, 1)
    assert (args.temperature, args.top_p, args.top_k) == (1.0, 1.0, 0)
    assert (args.per_device_train_batch_size, args.num_generations) == (8, 4)
    adapter = theirs.model.peft_config["default"]
    assert (adapter.r, adapter.lora_alpha, adapter.lora_dropout) == (8, 32, 0)
    trained = [
        {n.split("layers")[1] for n, w in m.named_parameters() if w.requires_grad}
        for m in (theirs.model, ours.learner.model)
    ]
    assert trained[0] == trained[1] != set()
    assert len(theirs.train_dataset) == 20


def test_load_is_told_by_quarters_and_nearest_ranks() -> None:
    assert load_report.percentile([3, 1, 2], 50) == 2 and load_report.percentile(range(1, 101), 99) == 99
    assert math.isnan(load_report.percentile([], 99))
    assert [load_report.quarter([1, 1, 9, 2, 2, 3, 4, 4], at) for at in range(4)] == [1, 5.5, 2.5, 4]
    assert load_report.quarter([7], 0) == load_report.quarter([7], 3) == 7


def test_load_asks_what_it_says(tmp_path: Path) -> None:
    usual = {"good": 930, "malformed": 50, "oversized": 10, "left": 10}
    for target, bodies, kinds in (
        (load_targets.completions(tmp_path), 3 * 64, {**usual, "good": 935, "load": 5, "unload": 5}),
        (load_targets.scores(tmp_path), 64, usual),
    ):
        questions = [question for turn in load.mixture(target, 1000, seed=0) for question in turn]
        assert Counter(question.kind for question in questions) == kinds
        assert len(set(target.bodies)) == len(target.bodies) == bodies
        good = [question for question in questions if question.kind == "good"]
        assert {question.like for question in good} == set(target.bodies), "all models are asked for"
        for question in good:
            body, like = json.loads(question.body or b""), json.loads(question.like or b"")
            assert {**body, "model": 0} == {**like, "model": 0}
            assert body == like or body["model"].startswith("swapped-")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serve", "serve-reward"])
def test_servers_bear_a_load(name: str, tmp_path: Path) -> None:
    """A few hundred requests say nothing of memory; of crashes and pairing they do."""
    target = load_targets.completions(tmp_path) if name == "serve" else load_targets.scores(tmp_path)
    found = load.measure(target, requests=400, clients=32)
    swaps = 2 if name == "serve" else 0
    assert (found["answered"], found["mispaired"], found["is_alive"]) == (372 + swaps, 0, True)
    assert (found["loaded"], found["unloaded"], found["left"]) == (swaps, swaps, 4)
    assert (found["malformed_refused"], found["oversized_refused"]) == (20, 4)
    assert 0 < found["latency_ms"]["good"]["p50"] <= found["latency_ms"]["good"]["p99"]
