"""What a comparison of arms found, as the rows of the page's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rltk.report.axis import written
from rltk.report.evidence import runs_of, unit_of
from rltk.report.mean import mean
from rltk.report.read import Comparison, Row, Run
from rltk.run.folder import read_object

EXPONENTS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


class Arm(NamedTuple):
    """A row of the table of arms, in words."""

    name: str
    lr: str
    score: str
    difference: str
    interval: str
    verdict: str


class Cost(NamedTuple):
    name: str
    seconds: str
    seconds_a_step: str
    tokens: str
    flops: str
    memory: str


class Best(NamedTuple):
    """Where the best learning rate of an arm lies, by a parabola through its sweep."""

    name: str
    chosen: str
    optimum: str
    ratio: str
    problem: str


class Change(NamedTuple):
    """What training did to the weights of an arm: means over its confirmation runs."""

    name: str
    parameters: str
    norm: str
    stable_rank: str
    effective_rank: str
    intruders: str
    kept: str
    """Of the update in bfloat16: the cosine of what such weights change by with what they should."""
    capacity_used: str


def arms(comparison: Comparison) -> list[Arm]:
    found = comparison.found
    return [
        Arm(
            name=shown_name(name, row),
            lr=f"{row['lr']:.3g}",
            score=written(row["score"], unit_of(found)),
            **against(found["verdicts"].get(name), unit_of(found)),
        )
        for name, row in found["arms"].items()
    ]


def shown_name(name: str, row: Row) -> str:
    return name if row.get("of", name) == name else f"{name} ({row['of']}, learning rate too low)"


def against(verdict: Row | None, unit: str) -> dict[str, str]:
    """Empty for the reference and for the control, on which there is no verdict."""
    if verdict is None:
        return {"difference": "", "interval": "", "verdict": ""}
    low, high = verdict["interval"]
    return {
        "difference": gained(verdict["difference"], unit),
        "interval": "-" if low is None else f"[{gained(low, unit)}, {gained(high, unit)}]",
        "verdict": verdict["verdict"].replace("_", " "),
    }


def gained(difference: float | None, unit: str) -> str:
    if difference is None:
        return "-"
    return written(difference, "points") if unit == "share" else f"{difference:+.3g}"


def costs(comparison: Comparison) -> list[Cost]:
    """Empty where the costs were not kept."""
    return [
        Cost(
            name=name,
            seconds=written(spent.get("seconds")),
            seconds_a_step=written(spent.get("seconds_a_step")),
            tokens=written(spent.get("tokens")),
            flops=flops(spent.get("training_flops")),
            memory=written(spent.get("peak_memory_bytes"), "bytes"),
        )
        for name in comparison.found["arms"]
        for spent in [comparison.costs.get(name)]
        if spent
    ]


def flops(count: float | None) -> str:
    if count is None:
        return "-"
    size, letter = next(((size, letter) for size, letter in EXPONENTS if count >= size), (1.0, ""))
    return f"{count / size:.3g} {letter}FLOP"


def optima(comparison: Comparison) -> list[Best]:
    return [
        Best(
            name=name,
            chosen="-" if row["lr"] is None else f"{row['lr']:.3g}",
            optimum=rate(row["optimum"], row["interval"]),
            ratio=""
            if name == comparison.found["reference"]
            else rate(row["ratio_to_reference"], row["ratio_interval"]),
            problem=row["problem"] or "nothing",
        )
        for name, row in (comparison.found.get("optima") or {}).items()
    ]


def rate(value: float | None, interval: Sequence[float | None] | None) -> str:
    if value is None:
        return "-"
    low, high = interval or (None, None)
    return f"{value:.3g}" if low is None or high is None else f"{value:.3g} [{low:.2g}, {high:.2g}]"


def changes(comparison: Comparison, runs: Sequence[Run]) -> list[Change]:
    """Arms whose runs left no adapter.json are not among them."""
    kept = {name: described(runs_of(name, runs)) for name in comparison.found["arms"]}
    return [change(name, rows) for name, rows in kept.items() if rows]


def described(runs: Sequence[Run]) -> list[Row]:
    rows = [read_object(run.path / "adapter.json") for run in runs]
    return [row for row in rows if row]


def change(name: str, rows: list[Row]) -> Change:
    matrices = [matrix for row in rows for matrix in row["matrices"].values()]
    return Change(
        name=name,
        parameters=f"{rows[0]['parameters']:,}",
        norm=written(mean([matrix["relative_norm"] for matrix in matrices]), "share"),
        stable_rank=written(mean([row["stable_rank"] for row in rows])),
        effective_rank=written(mean([row["effective_rank"] for row in rows])),
        intruders=written(mean([row["intruders"] / max(1, len(row["matrices"])) for row in rows])),
        kept=written(mean([matrix["bf16"]["cosine"] for matrix in matrices])),
        capacity_used=written(mean([row["capacity_used"] for row in rows]), "share"),
    )
