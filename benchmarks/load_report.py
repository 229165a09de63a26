"""What a server did under load, in numbers, and whether it did what is promised."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.load_clients import Answered
from benchmarks.load_targets import Target

KINDS = ("good", "malformed", "oversized", "load", "unload")
FLAT = 1.05
"""By how much the server may have grown between the second and the last quarter."""
REFUSALS = (400, 404, 422)
"""Statuses that a malformed question may get."""


def summary(
    answered: Sequence[Answered],
    expected: Mapping[bytes, Any],
    target: Target,
    sizes: Sequence[int],
    seconds: float,
    *,
    is_alive: bool,
) -> dict[str, Any]:
    kinds = {kind: [one for one in answered if one.question.kind == kind] for kind in KINDS}
    good = [one for one in kinds["good"] if one.status == 200]
    mispaired = sum(not target.is_same(one.content, expected[one.question.like or b""]) for one in good)
    obeyed = {kind: sum(one.status == 200 for one in kinds[kind]) for kind in ("load", "unload")}
    refused = sum(one.status in REFUSALS and is_told(one) for one in kinds["malformed"])
    too_large = sum(one.status == 413 for one in kinds["oversized"])
    growth = quarter(sizes, 3) / quarter(sizes, 1)
    return {
        "requests": len(answered),
        "seconds": seconds,
        "requests_per_second": len(answered) / seconds,
        "answered": len(good),
        "mispaired": mispaired,
        "malformed_refused": refused,
        "oversized_refused": too_large,
        "come_again": sum(one.refusals for one in answered),
        "left": sum(one.question.kind == "left" for one in answered),
        "loaded": obeyed["load"],
        "unloaded": obeyed["unload"],
        "statuses": {kind: dict(Counter(str(one.status) for one in ones)) for kind, ones in kinds.items()},
        "latency_ms": {kind: latencies(ones) for kind, ones in kinds.items() if ones},
        "resident_mib": {name: quarter(sizes, at) / 2**20 for at, name in enumerate(("q1", "q2", "q3", "q4"))},
        "peak_resident_mib": max(sizes) / 2**20,
        "growth": growth,
        "is_alive": is_alive,
        "holds": is_alive
        and len(good) == len(kinds["good"])
        and mispaired == 0
        and refused == len(kinds["malformed"])
        and too_large == len(kinds["oversized"])
        and all(count == len(kinds[kind]) for kind, count in obeyed.items())
        and growth <= FLAT,
    }


def is_told(answered: Answered) -> bool:
    """Whether the answer says, in JSON, what is wrong."""
    return isinstance(answered.content, dict) and bool(answered.content.get("error"))


def latencies(answered: Sequence[Answered]) -> dict[str, float]:
    seconds = [one.seconds for one in answered]
    return {f"p{share}": 1000 * percentile(seconds, share) for share in (50, 90, 99)} | {
        "max": 1000 * max(seconds, default=math.nan)
    }


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that at least `share` % of all are at most; nan of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else math.nan


def quarter(sizes: Sequence[int], index: int) -> float:
    """The median of the first (0) to last (3) quarter; of few values, neighbouring ones share some."""
    start, end = index * len(sizes) // 4, max(index * len(sizes) // 4 + 1, (index + 1) * len(sizes) // 4)
    return statistics.median(sizes[start:end])
