"""Peak memory of a training step as `rltk plan` predicts it, against what a process of its own measures.

    python -m benchmarks.plan_memory                    every configuration, minutes
    python -m benchmarks.plan_memory --only sft dpo     some of them

The results file is written after each, and the same command goes on where it was stopped: what is measured stays, with
the commit it was measured at, and is compared with what is predicted now. `--again` measures anew.

Each configuration runs in a process of its own: two steps first, whose model is deleted, so that what libraries keep
for good (kernels and scratch memory, some 25 MiB) is in the baseline; then the model once more, and two steps. Measured
is the peak resident size above the baseline (on CUDA what the allocator held), predicted what `rltk.plan.memory` says
from the shape alone.

glibc keeps freed blocks of less than a threshold that grows to 32 MiB, which made a process of this size up to a third
larger than what it held, from run to run. Here everything from 1 MiB on is given back to the system when it is freed,
so the resident size is what is held; `--malloc default` measures with glibc's own threshold.
"""

import argparse
import ctypes
import gc
import json
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.plan_points import Point, points, subject
from benchmarks.plan_steps import offline_steps, on_policy, on_policy_step
from benchmarks.record import earlier, in_fork, in_fresh_process, status, write_result
from rltk.plan.memory import plan_memory
from rltk.run.provenance import commit

BOUND = 0.15
M_MMAP_THRESHOLD, GIVEN_BACK = -3, 2**20
"""glibc's name for the size from which a block is a mapping of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_memory", description=__doc__)
    parser.add_argument("--only", nargs="+", help="only configurations with one of these in their names")
    parser.add_argument("--name", default="plan_memory", help="of the results file")
    parser.add_argument("--malloc", choices=("tight", "default"), default="tight", help="threshold of glibc's malloc")
    parser.add_argument("--again", action="store_true", help="measure again what is in the results")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(Point(**args.point), args.malloc)))
        return
    chosen = [point for point in points() if not args.only or any(word in point.name for word in args.only)]
    measured = {row["name"]: row for row in earlier(args.name, "rows")}
    kept = {point.name: row(point, measured[point.name]) for point in points() if is_of(point, measured)}
    for point in chosen:
        if args.again or point.name not in kept:
            kept[point.name] = run(point, args.malloc)
        write(args.name, args.malloc, kept)
        tell(kept[point.name])
    worst = max(abs(row["ratio"] - 1) for row in kept.values())
    print(f"{len(kept)} configurations; the worst prediction is {worst:.1%} off, the bound is {BOUND:.0%}")


def is_of(point: Point, measured: dict[str, dict[str, Any]]) -> bool:
    """Whether what was measured under its name was the same configuration, at a commit that is known."""
    found = measured.get(point.name, {})
    return "commit" in found and all(found.get(key) == value for key, value in asdict(point).items())


def write(name: str, malloc: str, kept: dict[str, dict[str, Any]]) -> None:
    rows = [kept[point.name] for point in points() if point.name in kept]
    worst = max(abs(row["ratio"] - 1) for row in rows)
    write_result(name, {"bound": BOUND, "malloc": malloc, "worst": worst, "rows": rows}, packages=("trl", "peft"))


def run(point: Point, malloc: str) -> dict[str, Any]:
    if torch.cuda.is_available():
        arguments = [f"--point={json.dumps(asdict(point))}", f"--malloc={malloc}"]
        measured = in_fresh_process("benchmarks.plan_memory", arguments)
    else:
        measured = in_fork(lambda: measure(point, malloc))
    return row(point, {"measured": measured, "commit": commit()})


def row(point: Point, found: dict[str, Any]) -> dict[str, Any]:
    """What was found at one time, beside what is predicted now."""
    predicted, measured = plan(point), found["measured"]
    ratio = predicted["total"] / measured["total"]
    made = {"predicted": predicted, "measured": measured, "ratio": ratio, "commit": found.get("commit")}
    return {**asdict(point), **made}


def tell(row: dict[str, Any]) -> None:
    def both(what: str) -> str:
        return f"{row['predicted'][what] / 2**20:,.0f} / {row['measured'][what] / 2**20:,.0f} MiB"

    print(
        f"{row['name']:30} predicted / measured {both('total')} ({row['ratio']:.2f}); sampling {both('sampling')}, "
        f"training {both('training')}",
        flush=True,
    )


def plan(point: Point) -> dict[str, Any]:
    planned = subject(point)
    memory = plan_memory(planned.shape, planned.recipe.tune, planned.work, planned.layout)
    parts = {phase: getattr(memory, phase)._asdict() for phase in ("sampling", "training")}
    return {
        "total": memory.peak.total,
        "sampling": memory.sampling.total,
        "training": memory.training.total,
        "roles": memory.roles,
        "parts": parts,
    }


def measure(point: Point, malloc: str) -> dict[str, int]:
    """Bytes at the peak of each phase, above what the process held before there was a model."""
    if malloc == "tight":
        assert ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, GIVEN_BACK) == 1
    steps(point, 0)
    return steps(point, reset_peak())


def steps(point: Point, before: int) -> dict[str, int]:
    """The second of two steps, when the optimizer's state is there."""
    peaks = dict[str, int]()

    def mark(phase: str) -> None:
        peaks[phase] = peak() - before
        reset_peak()

    if point.is_offline:
        offline_steps(point, mark)
    else:
        made = on_policy(point)
        for number in range(2):
            on_policy_step(point, made, number, mark)
    return {"sampling": 0, **peaks, "total": max(peaks.values())}


def reset_peak() -> int:
    """Bytes held now, from where peaks are counted; what is free is given back to the system first."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return status("VmRSS")


def peak() -> int:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else status("VmHWM")


if __name__ == "__main__":
    main()
