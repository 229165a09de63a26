"""Steps in one process and in two, of one thread each, beside what the planner says of them.

    python -m benchmarks.processes              GRPO, LoRA and full fine-tuning, on a machine with two cores or more

Runs of the same recipe take turns, each with its evaluations cut down; the first steps, which warm up, are left out.
`rltk plan --measure` times one process's share on this machine as a user would have it timed, with completions as long
as they were. It knows nothing of what processes send each other, nor that a core is slower while another works.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.learning import ARMS
from benchmarks.record import output, spread, write_result
from rltk.run.folder import read_metrics

COUNTS = (1, 2)
WARM_UP = 2
"""Steps of a run that are not counted."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--recipe", default="gsm8k_grpo")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--steps", type=int, default=6, help="timed steps a run")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each")
    args = parser.parse_args()
    results = {arm: compared(args, arm) for arm in ARMS}
    print(f"written to {write_result('processes', {'settings': vars(args), 'results': results}, packages=())}")


def compared(args: argparse.Namespace, arm: str) -> dict[str, Any]:
    """One process and two in turns; speedups are ratios of each turn."""
    turns = [{str(count): turn(args, arm, count) for count in COUNTS} for _ in range(args.repeats)]
    first, last = (str(count) for count in COUNTS)
    speedups = {
        key: spread([one[first][key] / one[last][key] for one in turns])
        for key in ("step", "rollout", "training", "planned")
    }
    said = ", ".join(f"{key} {found['median']:.2f}" for key, found in speedups.items())
    print(f"{arm}: two processes are faster by {said}", flush=True)
    return {"speedup": speedups, "turns": turns}


def turn(args: argparse.Namespace, arm: str, processes: int) -> dict[str, float]:
    """Median seconds of a step and of its phases in that many processes, and the planner's of the step."""
    overrides = [f"algo.prompts={args.prompts}", "eval.samples=0", "eval.every=0", "eval.limit=8", *ARMS[arm]]
    with tempfile.TemporaryDirectory() as folder:
        steps = [f"optim.steps={WARM_UP + args.steps}", f"hardware.processes={processes}", "--run", f"{folder}/run"]
        rltk("train", args.recipe, *overrides, *steps)
        metrics = read_metrics(Path(folder, "run"))[WARM_UP:]
    found = {
        "rollout": median(row["rollout_seconds"] for row in metrics),
        "training": median(row["train_seconds"] for row in metrics),
        "step": median(row["rollout_seconds"] + row["train_seconds"] for row in metrics),
        "tokens": fmean(row["completion_tokens"] for row in metrics),
    }
    length = [f"--completion-tokens={round(found['tokens'])}"]
    planned = rltk("plan", args.recipe, *overrides, "--measure", "--on", "cpu", f"--gpus={processes}", *length)
    own = next(one for one in json.loads(planned)["arms"] if one["is_recipes"])
    print(f"{arm} in {processes}: a step {found['step']:.2f} s, planned {own['step_seconds']:.2f} s", flush=True)
    return {**found, "planned": own["step_seconds"]}


def rltk(*argv: str) -> str:
    """What the command prints, with one thread a process."""
    return output("rltk", [*argv, "--json"], OMP_NUM_THREADS="1")


if __name__ == "__main__":
    main()
