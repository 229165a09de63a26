"""Spectra, ranks, intruders and rounding of updates, on matrices small enough to work out by hand."""

import math

import pytest
import torch

from rltk.models.spectra import (
    adapter_spectra,
    effective_rank,
    intruders,
    left_singular_vectors,
    matrix_spectrum,
    norm,
    realised,
    stable_rank,
)


def test_the_spectrum_of_an_adapter_worked_by_hand() -> None:
    """B has orthogonal columns of lengths 3 and 1, A orthogonal rows of lengths 2 and 5, and the scale is 10."""
    up_OR = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    down_RI = torch.tensor([[0.0, 2.0, 0.0, 0.0], [3.0, 0.0, 4.0, 0.0]])
    values_MK = adapter_spectra(up_OR[None], down_RI[None], 10.0)
    assert values_MK[0].tolist() == pytest.approx([60.0, 50.0])


@pytest.mark.parametrize(("outputs", "inputs", "rank"), [(7, 12, 3), (12, 7, 3), (2, 9, 4)])
def test_the_spectrum_is_that_of_the_product_nobody_makes(outputs: int, inputs: int, rank: int) -> None:
    torch.manual_seed(0)
    up_MOR, down_MRI = torch.randn(2, outputs, rank), torch.randn(2, rank, inputs)
    expected_MK = torch.linalg.svdvals(0.5 * up_MOR.double() @ down_MRI.double())[:, : min(rank, outputs)]
    torch.testing.assert_close(adapter_spectra(up_MOR, down_MRI, 0.5), expected_MK)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_a_full_matrix_is_decomposed_as_by_svd(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix_OI = torch.randn(shape)
    expected = torch.linalg.svd(matrix_OI.double(), full_matrices=False)
    torch.testing.assert_close(matrix_spectrum(matrix_OI), expected.S)
    cosines = (left_singular_vectors(matrix_OI).mT @ expected.U).abs()
    torch.testing.assert_close(cosines, torch.eye(5).double())


def test_ranks_worked_by_hand() -> None:
    """(2, 1): 5 / 4; shares of the squared norm 4/5 and 1/5, whose entropy is 0.5004 nats."""
    values_K = torch.tensor([2.0, 1.0, 0.0])
    assert norm(values_K) == pytest.approx(math.sqrt(5))
    assert stable_rank(values_K) == pytest.approx(1.25)
    assert effective_rank(values_K) == pytest.approx(math.exp(0.8 * math.log(1.25) + 0.2 * math.log(5)))
    equal_K = torch.full((6,), 0.3)
    assert (stable_rank(equal_K), effective_rank(equal_K)) == (pytest.approx(6), pytest.approx(6))


def test_the_zero_matrix_has_no_rank() -> None:
    assert math.isnan(stable_rank(torch.zeros(3))) and math.isnan(effective_rank(torch.zeros(3)))


BASE = torch.diag(torch.tensor([4.0, 2.0, 1.0, 0.0]))[:, :3]
"""Left singular vectors: the first three axes of four. The fourth axis is new to it."""


@pytest.mark.parametrize(
    ("size", "expected"),
    [(9.0, 1), (0.5, 0)],
    ids=["a large update makes a new direction lead", "a small one tilts an old direction a little"],
)
def test_intruders_worked_by_hand(size: float, expected: int) -> None:
    """Adding `size` to the last output's reading of the third input makes that singular vector (1, size) / norm."""
    update_OI = torch.zeros(4, 3)
    update_OI[3, 2] = size
    assert 1 / math.hypot(1, 9) < 0.5 < 1 / math.hypot(1, 0.5)  # its cosine with the third axis
    assert intruders(BASE, update_OI) == expected


def test_only_leading_vectors_can_intrude() -> None:
    """At size 1.9 the new direction comes second, after 4: 2.1 > 2."""
    update_OI = torch.zeros(4, 3)
    update_OI[3, 2] = 1.9
    assert (intruders(BASE, update_OI, top=1), intruders(BASE, update_OI, top=2)) == (0, 1)


def test_scaling_the_base_makes_no_intruder() -> None:
    torch.manual_seed(0)
    base_OI = torch.randn(20, 30)
    assert intruders(base_OI, 3 * base_OI) == 0


def test_bfloat16_keeps_what_is_as_large_as_its_steps() -> None:
    """Between 1 and 2 bfloat16 has steps of 1/128: a quarter of a step is lost, a whole one arrives."""
    base_OI = torch.ones(1, 4)
    step = 1 / 128
    kept = realised(base_OI, torch.tensor([[step, step / 4, step / 4, 0.0]]))
    assert kept.unchanged == 0.75
    assert kept.cosine == pytest.approx(1 / math.sqrt(1 + 2 / 16))
    assert realised(base_OI, torch.full((1, 4), step)) == (pytest.approx(1.0), 0.0)


def test_an_update_that_rounding_swallows_has_no_direction() -> None:
    lost = realised(torch.ones(2, 2), torch.full((2, 2), 1e-4))
    assert math.isnan(lost.cosine) and lost.unchanged == 1.0
    assert realised(torch.ones(2, 2), torch.full((2, 2), 1e-4), torch.float32).cosine == pytest.approx(1.0, abs=1e-5)
