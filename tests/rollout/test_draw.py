"""Drawing tokens: which can be drawn, how often, and under which log-probability. Shapes: B rows, V vocabulary."""

import math

import pytest
import torch
from torch import Tensor

from rltk.rollout.draw import draw, truncate
from rltk.rollout.sampler import Sampling, uniforms

LAST = 1 - 2**-24
"""The largest number below 1 that a uniform draw in float32 can be."""
FREE = Sampling(1)


def support(probabilities: list[float], sampling: Sampling) -> list[int]:
    kept_BV = truncate(torch.tensor([probabilities]), sampling)
    return kept_BV[0].nonzero()[:, 0].tolist()


PROBABILITIES = [0.05, 0.4, 0.1, 0.25, 0.2]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(1), [0, 1, 2, 3, 4]),
        (Sampling(1, top_k=1), [1]),
        (Sampling(1, top_k=3), [1, 3, 4]),
        (Sampling(1, top_k=5), [0, 1, 2, 3, 4]),
        (Sampling(1, top_k=50), [0, 1, 2, 3, 4]),
        (Sampling(1, top_p=0.3), [1]),  # the likeliest holds 0.4 already
        (Sampling(1, top_p=0.5), [1, 3]),  # 0.4 is too little, 0.65 enough
        (Sampling(1, top_p=0.7), [1, 3, 4]),
        (Sampling(1, top_p=0.9), [1, 2, 3, 4]),
        (Sampling(1, top_p=1e-6), [1]),
        (Sampling(1, min_p=0.55), [1, 3]),  # at least 0.22
        (Sampling(1, min_p=0.3), [1, 3, 4]),  # at least 0.12
        (Sampling(1, min_p=0.99), [1]),
        (Sampling(1, top_k=3, top_p=0.75), [1, 3]),  # of what top-k leaves: 0.65 / 0.85 = 0.765 is enough
        (Sampling(1, top_k=3, top_p=0.8), [1, 3, 4]),
        (Sampling(1, top_p=0.9, min_p=0.3), [1, 3, 4]),
        (Sampling(1, top_k=4, top_p=0.95, min_p=0.2), [1, 2, 3, 4]),
    ],
)
def test_supports_by_hand(sampling: Sampling, expected: list[int]) -> None:
    assert support(PROBABILITIES, sampling) == expected


def test_top_p_keeps_the_token_that_completes_it_and_none_after() -> None:
    halves = [0.5, 0.25, 0.125, 0.125]  # sums of these are exact
    assert support(halves, Sampling(1, top_p=0.5)) == [0]
    assert support(halves, Sampling(1, top_p=0.75)) == [0, 1]
    assert support(halves, Sampling(1, top_p=0.7501)) in ([0, 1, 2], [0, 1, 3])


def test_what_is_kept_keeps_its_proportions() -> None:
    kept_BV = truncate(torch.tensor([PROBABILITIES]), Sampling(1, top_k=3))
    assert kept_BV.tolist() == [pytest.approx([0.0, 0.4, 0.0, 0.25, 0.2])]


def test_each_row_is_truncated_by_itself() -> None:
    rows_BV = torch.tensor([PROBABILITIES, [0.96, 0.01, 0.01, 0.01, 0.01]])
    kept_BV = truncate(rows_BV, Sampling(1, top_p=0.5))
    assert [row.nonzero()[:, 0].tolist() for row in kept_BV] == [[1, 3], [0]]


def drawn(probabilities: list[float], points: list[float], sampling: Sampling = FREE) -> list[int]:
    logits_BV = torch.tensor(probabilities).log().expand(len(points), -1)
    return draw(logits_BV, torch.tensor(points), sampling).tokens_B.tolist()


def test_the_uniform_number_picks_by_the_cumulative_distribution() -> None:
    """0.05, 0.45, 0.55, 0.8, 1: borders belong to the token after them."""
    points = [0.0, 0.049, 0.051, 0.449, 0.451, 0.549, 0.551, 0.799, 0.801, LAST]
    assert drawn(PROBABILITIES, points) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    # Without token 0 and 2 the rest is 0.85: borders at 0.4706 and 0.7647.
    assert drawn(PROBABILITIES, [0.0, 0.470, 0.471, 0.764, 0.765, LAST], Sampling(1, top_k=3)) == [1, 1, 3, 3, 4, 4]


@pytest.mark.parametrize("sampling", [FREE, Sampling(1, top_k=2), Sampling(1, top_p=0.99), Sampling(1, min_p=0.01)])
def test_tokens_without_probability_are_never_drawn(sampling: Sampling) -> None:
    """At either end of the vocabulary and within it, at both ends of the uniform numbers."""
    points = [0.0, 2**-24, 0.3, 0.5, 0.75, 0.999999, LAST]
    for probabilities, allowed in (
        ([0.0, 0.5, 0.0, 0.5, 0.0], {1, 3}),
        ([0.0, 0.0, 1.0], {2}),
        ([1.0, 0.0, 0.0], {0}),
        ([0.0] * 40 + [0.3, 0.7] + [0.0] * 40, {40, 41}),
    ):
        found = drawn(probabilities, points, sampling)
        assert set(found) <= allowed
        assert found[0] == min(allowed) and found[-1] == max(allowed)


@pytest.mark.parametrize("total", [1, 3, 1000, 100_000])
def test_the_last_uniform_number_draws_a_token_that_can_be(total: int) -> None:
    """Rounded sums of many probabilities are not 1; whatever they are, the search must not run past their end."""
    generator = torch.Generator().manual_seed(total)
    logits_BV = 3 * torch.randn(64, total, generator=generator)
    logits_BV = torch.cat([logits_BV, torch.full((64, 3), -torch.inf)], dim=1)
    found = draw(logits_BV, torch.full((64,), LAST), FREE)
    assert (found.tokens_B < total).all() and torch.isfinite(found.logprobs_B).all()


def frequencies(probabilities: list[float], sampling: Sampling, count: int = 40_000) -> Tensor:
    logits_BV = torch.tensor(probabilities).log().expand(count, -1)
    tokens_B = draw(logits_BV, uniforms(count, 1, seed=3)[:, 0], sampling).tokens_B
    return torch.bincount(tokens_B, minlength=len(probabilities)) / count


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(1), PROBABILITIES),
        (Sampling(1, top_k=3), [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]),
        (Sampling(1, top_p=0.5), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        # Squares, as at temperature one half: 0.0025, 0.16, 0.01, 0.0625, 0.04 of 0.275.
        (Sampling(1, temperature=0.5), [0.00909, 0.58182, 0.03636, 0.22727, 0.14545]),
        # Square roots: 0.22361, 0.63246, 0.31623, 0.5, 0.44721 of 2.11951.
        (Sampling(1, temperature=2.0), [0.10550, 0.29840, 0.14920, 0.23590, 0.21100]),
    ],
)
def test_tokens_come_as_often_as_they_should(sampling: Sampling, expected: list[float]) -> None:
    count = 40_000
    for found, wanted in zip(frequencies(PROBABILITIES, sampling, count).tolist(), expected, strict=True):
        assert abs(found - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / count) + 1e-5


def test_log_probabilities_are_of_the_whole_softmax_at_the_temperature() -> None:
    """Whatever top-k leaves: the trainer's softmax knows no top-k."""
    logits_BV = torch.tensor([PROBABILITIES]).log()
    for temperature, expected in ((1.0, 0.4), (0.5, 0.16 / 0.275)):
        found = draw(logits_BV, torch.tensor([0.5]), Sampling(1, temperature, top_k=1))
        assert found.tokens_B.tolist() == [1]
        assert found.logprobs_B.tolist() == pytest.approx([math.log(expected)], abs=1e-6)


def test_greedy_takes_the_likeliest_and_reports_temperature_one() -> None:
    logits_BV = torch.tensor([PROBABILITIES, PROBABILITIES[::-1]]).log()
    found = draw(logits_BV, torch.tensor([0.0, LAST]), Sampling(1, temperature=0.0, top_k=2))
    assert found.tokens_B.tolist() == [1, 3]
    assert found.logprobs_B.tolist() == pytest.approx([math.log(0.4)] * 2, abs=1e-6)


def test_a_rows_token_is_its_own_affair() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_BV, points_B = torch.randn(50, 300, generator=generator), torch.rand(50, generator=generator)
    sampling = Sampling(1, 0.8, top_k=40, top_p=0.9, min_p=0.01)
    together = draw(logits_BV, points_B, sampling)
    alone = [draw(logits_BV[b : b + 1], points_B[b : b + 1], sampling) for b in range(50)]
    assert together.tokens_B.tolist() == [int(one.tokens_B) for one in alone]
    assert together.logprobs_B.tolist() == pytest.approx([float(one.logprobs_B) for one in alone], abs=1e-6)
    assert len(set(together.tokens_B.tolist())) > 20


def test_uniform_numbers_belong_to_rows() -> None:
    """More rows or a longer limit is another draw, but a seed is a seed, and nothing else is drawn from."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = uniforms(4, 6, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(uniforms(4, 6, seed=1), first) and not torch.equal(uniforms(4, 6, seed=2), first)
    assert torch.equal(uniforms(7, 6, seed=1)[:4], first)
    assert first.min() >= 0 and first.max() < 1
