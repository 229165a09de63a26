"""Continuous batching: who shares a batch, who enters late and who leaves early change no token and no number."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from rltk.models.adapters import add_lora
from rltk.recipe.schema import LoRA
from rltk.rollout.attention import Decoding
from rltk.rollout.cache import FIRST_COLUMNS, Prefix, Suffix
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Rollout, Sampling
from tests import tiny
from tests.onpolicy.made import off_base
from tests.rollout.test_engines import difference, flat, tokens

LENGTHS = (5, 1, 23, 2, 9, 17, 30)
"""Prompt tokens; Gemma's window is 16."""
PROMPTS = [[(7 * p + 11 * t) % 900 + 5 for t in range(length)] for p, length in enumerate(LENGTHS)]
STAGGERED = (4, *range(31, 1024, 40))
"""So many stop tokens that completions of random models end at all lengths."""
BRIEF = Sampling(14)
LONG = Sampling(2 * FIRST_COLUMNS + 8)
"""The cache doubles twice."""


def sample(
    model: nn.Module,
    group: int,
    groups_at_once: int,
    *,
    sampling: Sampling = BRIEF,
    prompts: Sequence[list[int]] = PROMPTS,
) -> list[list[Rollout]]:
    sampler = NativeSampler(model, stops=STAGGERED, batch=groups_at_once * group, dtype=torch.float32)
    return sampler.sample(prompts, group, sampling, seed=3)


def assert_same(found: list[list[Rollout]], expected: list[list[Rollout]]) -> None:
    assert tokens(found) == tokens(expected)
    for ours, theirs in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(ours.logprobs_T, theirs.logprobs_T, rtol=0, atol=1e-5)
        assert ours.is_truncated == theirs.is_truncated


def policy(architecture: str) -> nn.Module:
    return off_base(add_lora(tiny.model(architecture), LoRA(rank=4)))


@pytest.mark.parametrize(("architecture", "group"), [*product(tiny.ARCHITECTURES, (3,)), ("qwen3", 1), ("gemma3", 4)])
def test_the_batch_changes_nothing(architecture: str, group: int) -> None:
    model = policy(architecture)
    expected = sample(model, group, len(PROMPTS))
    assert difference(model, PROMPTS, expected, 1.0) < 1e-5
    for groups_at_once in (1, 2, 3, 5):
        assert_same(sample(model, group, groups_at_once), expected)
    lengths = [len(rollout.tokens_T) for rollout in flat(expected)]
    assert len(set(lengths)) > 1 and max(lengths) == BRIEF.max_new_tokens
    assert {rollout.is_truncated for rollout in flat(expected)} == {True, False}
    assert len({tuple(row) for row in tokens(expected) if len(row) > 5}) > len(PROMPTS) // 2  # and each its own


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_nor_does_it_where_the_cache_grows_moves_and_shrinks(architecture: str) -> None:
    """Rows enter at columns far from the first, and columns that nobody uses any more are dropped."""
    model = policy(architecture)
    expected = sample(model, 2, len(PROMPTS), sampling=LONG)
    assert difference(model, PROMPTS, expected, 1.0) < 1e-5
    assert_same(sample(model, 2, 2, sampling=LONG), expected)
    lengths = [len(rollout.tokens_T) for rollout in flat(expected)]
    assert max(lengths) == LONG.max_new_tokens > 2 * FIRST_COLUMNS and len(set(lengths)) > 3


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_nor_do_steps_that_always_read_the_whole_cache(architecture: str) -> None:
    """As CUDA graphs need them: same shapes, same memory, until rows enter or leave."""
    model = policy(architecture)
    expected = sample(model, 2, 3, sampling=LONG)
    sampler = NativeSampler(model, stops=STAGGERED, batch=6, dtype=torch.float32)
    sampler.steps_are_static = True
    assert_same(sampler.sample(PROMPTS, 2, LONG, seed=3), expected)


class Seen(NamedTuple):
    """One rearrangement of the cache."""

    rows: int
    first: int
    entering: int
    columns: int


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Every rearrangement, as it happens."""
    noted, arrange = list[Seen](), Suffix.arrange

    def noting(suffix: Suffix, rows: torch.Tensor, *, first: int, entering: int, columns: int) -> None:
        noted.append(Seen(len(rows), first, entering, columns))
        arrange(suffix, rows, first=first, entering=entering, columns=columns)

    monkeypatch.setattr(Suffix, "arrange", noting)
    return noted


def test_many_more_prompts_than_fit(seen: list[Seen]) -> None:
    """Thirty prompts, six rows at once: nobody waits for the slowest of a batch, and memory stays bounded."""
    model, prompts = policy("qwen3"), [PROMPTS[p % len(PROMPTS)][p % 2 :] or [9] for p in range(30)]
    found = sample(model, 2, 3, prompts=prompts, sampling=LONG)
    assert_same(found, sample(model, 2, len(prompts), prompts=prompts, sampling=LONG))
    small = [event for event in seen if event.rows + event.entering <= 6]
    assert sum(event.entering > 0 and event.rows > 0 for event in small) > 5  # entered while others went on
    assert max(event.first for event in small) > 5  # columns were dropped
    assert max(event.columns for event in small) < 4 * LONG.max_new_tokens  # though hundreds of tokens were drawn


def test_rows_that_enter_see_nothing_of_those_before(seen: list[Seen]) -> None:
    """Memory given back by those who left may hold anything, nan too; a zero weight would not silence it."""
    model, before = policy("gemma3"), torch.Tensor.new_empty

    def poisoned(tensor: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
        made = before(tensor, *shape, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    expected = sample(model, 2, len(PROMPTS), sampling=LONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "new_empty", poisoned)
        found = sample(model, 2, 2, sampling=LONG)
    assert_same(found, expected)
    assert any(event.entering > 0 and event.rows > 0 for event in seen)


def test_prompts_without_rows_are_dropped() -> None:
    """Of four prompts of 1 to 4 tokens with two rows each, those of rows 2 and 3 stay, of whom the longer has 3."""
    keys = [torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 4).clone()]
    values = [torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 4, 2).clone()]
    state = Decoding(Prefix(keys, values, torch.tensor([1, 2, 3, 4])), group=2)
    state.keep(torch.tensor([1, 2, 4, 5, 7]))  # four of four prompts have rows left
    assert state.prefix.lengths_P.tolist() == [1, 2, 3, 4] and state.prompt_B.tolist() == [0, 1, 2, 2, 3]
    state.keep(torch.tensor([2, 3]))
    assert state.prefix.lengths_P.tolist() == [3] and state.prompt_B.tolist() == [0, 0]
    assert state.prefix.keys[0].shape == (1, 1, 2, 3) and state.prefix.values[0].tolist() == [[[[2.0, 2.0]] * 3]]
    state.join(Prefix(keys, values, torch.tensor([1, 2, 3, 4])), group=1)
    assert state.prefix.lengths_P.tolist() == [3, 1, 2, 3, 4] and state.prompt_B.tolist() == [0, 0, 1, 2, 3, 4]
    assert (state.group, state.slot_B.tolist()) == (2, [0, 1, 2, 4, 6, 8])
    assert state.lengths_B.tolist() == [3, 3, 1, 2, 3, 4]


def test_columns_move_when_rows_leave_and_room_doubles() -> None:
    """One row enters at column 5; when the others leave, that column is the first."""
    one = Prefix([torch.zeros(1, 1, 2, 1)], [torch.zeros(1, 1, 1, 2)], torch.tensor([1]))
    state = Decoding(one, group=2)

    def write(columns: range) -> None:
        for column in columns:
            state.make_room()
            written = torch.full((len(state.prompt_B), 1, 1, 2), float(column))
            state.suffix.update(written, written, 0)
            state.suffix.length += 1

    write(range(5))
    state.join(one, group=1)
    assert state.start_B.tolist() == [0, 0, 5] and (state.suffix.keys[0][2, :, :5] == 0).all()
    write(range(5, 9))
    state.keep(torch.tensor([2]))
    assert state.start_B.tolist() == [0] and state.suffix.length == 4
    assert state.suffix.keys[0][0, 0, :4, 0].tolist() == [5, 6, 7, 8]
    write(range(9, 5 + FIRST_COLUMNS + 1))
    assert (state.suffix.length, state.suffix.capacity) == (FIRST_COLUMNS + 1, 2 * FIRST_COLUMNS)
    assert state.suffix.values[0][0, 0, : state.suffix.length, 1].tolist() == list(range(5, 6 + FIRST_COLUMNS))
    assert state.is_there.shape == (1, 1 + 2 * FIRST_COLUMNS)
