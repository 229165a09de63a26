"""What training added to a weight matrix, in numbers: pure functions of matrices.

An adapter's update is scale * B A of rank R. Its singular values are those of an R x R matrix, the product of the
triangular factors of B and A (QR), so the O x I matrix is never made for them.

Shapes: M matrices of one shape, O outputs, I inputs, R rank, K singular values (the largest first).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

INTRUDER_TOP = 10
"""Leading singular vectors of the tuned matrix that are looked at."""
INTRUDER_COSINE = 0.5
"""Below this cosine with every singular vector of the base, a leading singular vector counts as new."""


class Realised(NamedTuple):
    """What is left of an update once it is added to a base that is kept in a narrow floating-point type."""

    cosine: float
    """Of the change that the rounded weights made, with the update; nan where either is zero."""
    unchanged: float
    """Share of the weights that kept every bit."""


def adapter_spectra(up_MOR: Tensor, down_MRI: Tensor, scale: float) -> Tensor:
    """Singular values [M, K] of scale * B A for M adapters of one shape, in float64."""
    core = triangle(up_MOR.double()) @ triangle(down_MRI.double().mT).mT
    return torch.linalg.svdvals(scale * core)


def triangle(tall: Tensor) -> Tensor:
    return torch.linalg.qr(tall, mode="r").R


def matrix_spectrum(matrix_OI: Tensor) -> Tensor:
    """Singular values [K] of a full matrix, from the eigenvalues of its smaller Gram matrix: good to 1e-8 of the first.

    That is a tenth of the time of a singular value decomposition.
    """
    return torch.linalg.eigvalsh(gram(matrix_OI)).clamp(min=0).sqrt().flip(0)


def gram(matrix_OI: Tensor) -> Tensor:
    """W W^T or W^T W, whichever is smaller, in float64."""
    wide = matrix_OI.double() if matrix_OI.shape[0] <= matrix_OI.shape[1] else matrix_OI.double().mT
    return wide @ wide.mT


def left_singular_vectors(matrix_OI: Tensor) -> Tensor:
    """[O, K], orthonormal, those of the largest singular values first; none for singular values that are zero."""
    values_K, vectors = torch.linalg.eigh(gram(matrix_OI))
    values_K, vectors = values_K.flip(0), vectors.flip(1)
    is_there_K = values_K > 1e-15 * values_K[0]
    if matrix_OI.shape[0] <= matrix_OI.shape[1]:
        return vectors[:, is_there_K]
    return matrix_OI.double() @ vectors[:, is_there_K] / values_K[is_there_K].sqrt()


def norm(values_K: Tensor) -> float:
    """The Frobenius norm of a matrix with these singular values."""
    return values_K.square().sum().sqrt().item()


def stable_rank(values_K: Tensor) -> float:
    """||D||_F^2 / ||D||_2^2, between 1 and the rank; nan for the zero matrix."""
    largest = values_K.max().item()
    return values_K.square().sum().item() / largest**2 if largest > 0 else math.nan


def effective_rank(values_K: Tensor) -> float:
    """exp of the entropy of the shares of the squared norm (Roy & Vetterli 2007, EUSIPCO, with squares): the rank if
    all singular values are equal; nan for the zero matrix."""
    energy_K = values_K.square()
    total = energy_K.sum()
    if not total > 0:
        return math.nan
    return torch.special.entr(energy_K / total).sum().exp().item()


def intruders(
    base_OI: Tensor, update_OI: Tensor, *, top: int = INTRUDER_TOP, threshold: float = INTRUDER_COSINE
) -> int:
    """How many of the tuned matrix's `top` left singular vectors resemble none of the base's (Shuttleworth et al. 2024,
    arXiv 2410.21228): the largest absolute cosine is below `threshold`."""
    before = left_singular_vectors(base_OI)
    after = left_singular_vectors(base_OI.double() + update_OI.double())[:, :top]
    return int(((before.mT @ after).abs().amax(0) < threshold).sum())


def realised(base_OI: Tensor, update_OI: Tensor, dtype: torch.dtype = torch.bfloat16) -> Realised:
    """What merging the update into a base kept in `dtype` would have changed."""
    held = base_OI.to(dtype)
    change = (held.float() + update_OI.float()).to(dtype).float() - held.float()
    product = (change.double() * update_OI.double()).sum()
    norms = change.double().norm() * update_OI.double().norm()
    cosine = (product / norms).item() if norms > 0 else math.nan
    return Realised(cosine, (change == 0).double().mean().item())
