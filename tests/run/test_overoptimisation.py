"""The watch for over-optimisation ends a run when gold turned down beyond noise while the proxy rose, not before."""

import random
from pathlib import Path

import pytest

from rltk.run.atomic import write_jsonl
from rltk.run.overoptimisation import Look, find_turn, look_name, read_looks


def look(step: int, proxy: float, gold: float, *, prompts: int = 200, noise: float = 0.2) -> Look:
    """Prompts differ a lot from each other, which pairs cancel; replies to one prompt differ by `noise`."""
    draw, prompt = random.Random(step), random.Random(0)
    easy = [prompt.gauss(0, 1) for _ in range(prompts)]
    return Look(
        step,
        [proxy + ease + draw.gauss(0, noise) for ease in easy],
        [gold + ease + draw.gauss(0, noise) for ease in easy],
    )


def test_a_turn_is_named_with_both_changes() -> None:
    turn = find_turn([look(0, 0.0, 0.0), look(10, 1.0, 0.5), look(20, 2.0, 0.3)])
    assert turn is not None and (turn.best, turn.step) == (10, 20)
    assert turn.gold.low < -0.2 < turn.gold.high < 0 < turn.proxy.low < 1.0 < turn.proxy.high
    assert str(turn).startswith("from step 10 to step 20 the gold reward of held-out prompts changed by -0.")


@pytest.mark.parametrize(
    "looks",
    [
        [look(0, 0.0, 0.0)],
        [look(0, 0.0, 0.0), look(10, 1.0, 0.5), look(20, 2.0, 0.7)],  # both rise
        [look(0, 0.0, 0.5), look(10, -1.0, 0.0)],  # both fall: training fails, the reward is not the reason
        [look(0, 0.0, 0.5), look(10, 0.0, 0.49, noise=1.0)],  # within noise
        [look(0, 0.0, 0.0), look(10, 1.0, -0.5), look(20, 2.0, 0.5)],  # it came back
    ],
)
def test_nothing_else_is_a_turn(looks: list[Look]) -> None:
    assert find_turn(looks) is None


def test_looks_are_read_from_what_evaluations_left(tmp_path: Path) -> None:
    for name, reward in (("before-heldout", 0.0), (look_name(4, "heldout"), 1.0), (look_name(8, "heldout"), 2.0)):
        rows = [
            {"id": id, "decoding": decoding, "reward": reward + id, "gold_reward": -reward}
            for decoding in ("greedy", "sampled")
            for id in (1, 2)
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    looks = read_looks(tmp_path, "heldout", [4, 6])
    assert [(look.step, look.proxy, look.gold) for look in looks] == [
        (0, [1.0, 2.0], [0.0, 0.0]),
        (4, [2.0, 3.0], [-1.0, -1.0]),
    ]
