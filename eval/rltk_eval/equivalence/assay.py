"""What is fixed before the runs that are judged: the margin, and what proves that a loss beyond it would be seen."""

from dataclasses import dataclass
from math import isfinite, isnan
from typing import NamedTuple

from rltk_eval.equivalence.paired import paired_mean, t_interval
from rltk_eval.equivalence.scores import Pairs
from rltk_eval.metrics import Interval


@dataclass(frozen=True)
class Margin:
    """The largest loss that does not matter, in the metric's units, and how it was fixed before the runs it judges."""

    value: float
    rule: str = "declared"

    def __post_init__(self) -> None:
        if not (isfinite(self.value) and self.value > 0):
            raise ValueError(f"margin ({self.value}) must be above zero, in the metric's units, such as 0.02")


@dataclass(frozen=True, eq=False)
class Assay:
    """What proves that these runs could have shown a loss.

    `gain` pairs the reference arm with the starting model: the lower bound of its gain must reach `minimum_gain`.
    `control` pairs the negative control, such as LoRA at 1/30 of its learning rate, with the reference: it must come
    out INFERIOR at the same margin. None: no control was run, and then no arm can be found equivalent.
    """

    gain: Pairs
    minimum_gain: float
    control: Pairs | None


class AssayResult(NamedTuple):
    """What the assay gave; `problem` is None where it is sensitive, and a clause saying why not elsewhere."""

    gain: float
    gain_interval: Interval
    minimum_gain: float
    control_difference: float | None
    control_interval: Interval | None
    problem: str | None


def margin_of_gain(gain: float, *, share: float, at_least: float, at_most: float) -> Margin:
    """The margin as a share of what the full arm gained over the start, kept between two bounds.

    The gain must come from earlier runs, those that chose the learning rates: a margin taken from the runs that it then
    judges is itself random, and the levels of the tests no longer hold.
    """
    if not (isfinite(gain) and gain > 0):
        raise ValueError(f"the full arm's gain ({gain}) must be above zero: a share of no gain is no margin")
    if not 0 < share < 1:
        raise ValueError(f"share ({share}) must lie between 0 and 1, such as 0.1 to keep 90 % of the gain")
    if not 0 < at_least <= at_most:
        raise ValueError(f"the margin's bounds ({at_least} to {at_most}) must be above zero and in order")
    value = min(max(share * gain, at_least), at_most)
    return Margin(value, f"{share:g} of the full arm's gain of {gain:g}, from {at_least:g} to {at_most:g}")


def check_assay(assay: Assay, pairs: Pairs, margin: Margin) -> None:
    """ValueError for an assay that proves nothing about these pairs."""
    if not assay.minimum_gain > margin.value:
        raise ValueError(
            f"minimum_gain ({assay.minimum_gain:g}) must exceed the margin ({margin.value:g}), "
            "or the starting model itself could pass for equivalent"
        )
    if assay.gain.arm != pairs.reference:
        raise ValueError(f"the assay's gain is of {assay.gain.arm!r}; give that of the reference, {pairs.reference!r}")
    if assay.control is not None and assay.control.reference != pairs.reference:
        raise ValueError(
            f"the control was paired with {assay.control.reference!r}; pair it with the reference, {pairs.reference!r}"
        )
    if any(other.higher_is_better != pairs.higher_is_better for other in (assay.gain, assay.control or assay.gain)):
        raise ValueError(
            f"higher_is_better must be {pairs.higher_is_better} for the assay too: one metric, one direction"
        )


def judge_assay(assay: Assay, margin: Margin, alpha: float) -> AssayResult:
    """Whether a loss beyond the margin would have been seen, each part shown at level alpha."""
    gain = paired_mean(assay.gain.difference_S)
    gain_interval = t_interval(gain, 1 - 2 * alpha)
    control = None if assay.control is None else paired_mean(assay.control.difference_S)
    control_interval = None if control is None else t_interval(control, 1 - 2 * alpha)
    return AssayResult(
        gain=gain.mean,
        gain_interval=gain_interval,
        minimum_gain=assay.minimum_gain,
        control_difference=None if control is None else control.mean,
        control_interval=control_interval,
        problem=_assay_problem(assay, gain_interval, control_interval, margin.value),
    )


def _assay_problem(assay: Assay, gain: Interval, control: Interval | None, margin: float) -> str | None:
    if not gain.low >= assay.minimum_gain:
        return (
            f"{assay.gain.arm} is not shown to gain {assay.minimum_gain:g} over the start "
            f"({_bound('lower', gain.low)}), so there may have been nothing to lose"
        )
    if control is None or assay.control is None:
        return "no negative control was run, so nothing shows that a loss would have been seen"
    if not control.high < -margin:
        return (
            f"the negative control {assay.control.arm} is not shown to be inferior "
            f"({_bound('upper', control.high)}), so a loss might not have been seen"
        )
    return None


def _bound(side: str, value: float) -> str:
    return "no spread over two seeds or more" if isnan(value) else f"{side} bound {value:+.4g}"
