"""Runs killed with SIGKILL at random moments, gone on with, and compared bit for bit with runs that nothing ended.

    python -m benchmarks.kills                  until there were 200 kills
    python -m benchmarks.kills --kills 1000     goes on where an earlier command stopped

GRPO, and DPO on pairs that the policy writes, by LoRA and by full fine-tuning of a tiny model. Each kill draws a piece
of work, which of its occurrences, and how long after its beginning; it is counted by what the process was at then.
A run is killed once, and wherever it goes on with a chance of 0.85 again. Right after a kill no file may be
written in half (but for the last line of metrics.jsonl, which resuming takes off), and at the end metrics, scores,
items and weights have to be those of the run that nothing interrupted, to the bit. Needs a checkout: models and recipes
are those of the tests.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from benchmarks.mortal import FUNCTIONS, Aim, Ended, Warm
from benchmarks.record import earlier, write_result
from rltk.run.atomic import SUFFIX
from rltk.run.checkpoint import list_checkpoints
from rltk.run.provenance import commit
from rltk.run.whole import damage
from tests import runs
from tests.offline import made

LORA: dict[str, Any] = {"type": "lora", "rank": 4, "dropout": 0.2}
FULL: dict[str, Any] = {"type": "full"}
ARMS = {"lora grpo": LORA, "full grpo": FULL, "lora dpo": LORA, "full dpo": FULL}
STEPS = 4
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "tie_word_embeddings": True}
AGAIN = 0.85
"""Chance that a run which was gone on with is killed once more."""
LATEST = 1.2
"""Longest delay of a kill, in mean durations of the piece of work that it is aimed at."""
KEPT = ("model", "items")
"""Folders whose files have to be the same bytes."""

Record = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="in all, with those that an earlier command made")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="kills", help="of the results file")
    args = parser.parse_args()
    found = earlier(args.name)
    with tempfile.TemporaryDirectory() as folder, Warm() as warm:
        arena = Arena(Path(folder), warm, args.seed)
        while sum(len(run["kills"]) for run in found) < args.kills:
            arm = min(ARMS, key=lambda arm: sum(run["arm"] == arm for run in found))
            found.append(arena.run(arm, sum(run["arm"] == arm for run in found)))
            print(describe(found[-1]), flush=True)
            write_result(args.name, {"seed": args.seed, **summary(found), "runs": found})
    summed = summary(found)
    print(json.dumps(summed, indent=2))
    if summed["failed"]:
        sys.exit(1)


class Arena:
    """Where runs of one model die; the run of each arm that does not is made when it is first needed."""

    def __init__(self, folder: Path, warm: Warm, seed: int) -> None:
        self.folder, self.warm, self.seed, self.commit = folder, warm, seed, commit()
        self.model = runs.guesser(folder / "model", **SMALL)
        self.wholes: dict[str, tuple[Path, Ended]] = {}

    def run(self, arm: str, number: int) -> Record:
        """A run of the arm from its start over its deaths to its end, and what became of it."""
        whole, usual = self.whole(arm)
        draw, place = random.Random(f"{self.seed} {arm} {number}"), self.folder / f"{arm} {number}"
        path, kills, half, code = place / "run", list[Record](), list[str](), -signal.SIGKILL
        place.mkdir()
        while code == -signal.SIGKILL:
            aim = random_aim(draw, usual) if not kills or draw.random() < AGAIN else None
            argv = self.argv(arm, path)
            code, phase, _ = self.warm.run(argv, place / "log", aim)
            if code == -signal.SIGKILL:
                assert aim is not None
                kills.append({"aimed_at": aim.phase, "landed_in": phase, "steps": len(steps(path))})
                half += half_written(path)
                if is_finished(path):  # all but the page is written by then
                    code = 0
        differs = differences(path, whole) if code == 0 else [f"exit status {code}: {last_line(place / 'log')}"]
        if not differs and not half:
            shutil.rmtree(place)
        return {"arm": arm, "commit": self.commit, "kills": kills, "half_written": half, "differs": differs}

    def whole(self, arm: str) -> tuple[Path, Ended]:
        if arm not in self.wholes:
            write_recipe(self.folder / arm, self.model, arm)
            path = self.folder / arm / "whole"
            ended = self.warm.run(self.argv(arm, path), self.folder / arm / "log")
            if ended.code != 0:
                raise RuntimeError(f"{arm}, not interrupted: {last_line(self.folder / arm / 'log')}")
            losses = {row["loss"] for row in steps(path)}
            assert len(losses) > 1, "what does not learn would resume to anything"
            self.wholes[arm] = (path, ended)
        return self.wholes[arm]

    def argv(self, arm: str, path: Path) -> list[str]:
        """Begins the run; or goes on with it, which a run can be from its manifest on."""
        if (path / "manifest.json").exists():
            return ["train", str(path), "--resume", "--quiet"]
        return ["train", str(self.folder / arm / "recipe.yaml"), "--run", str(path), "--quiet"]


def write_recipe(folder: Path, model: Path, arm: str) -> None:
    common: dict[str, Any] = {"tune": ARMS[arm], "optim": {"steps": STEPS, "lr": 0.01 if "lora" in arm else 0.003}}
    if "grpo" in arm:
        algo = {"updates": 2, "kl": 0.05, "prompts": 2}
        runs.write_recipe(folder, model, **common, algo=algo, eval={"every": 3, "limit": 6})
    else:
        made.write_recipe(folder, model, "dpo", "problems", **common, algo={"samples": 4}, eval={"every": 3})


def random_aim(draw: random.Random, usual: Ended) -> Aim:
    """Each piece of work is as likely to be hit as any other, however short it is."""
    phase = draw.choice([phase for phase in FUNCTIONS if usual.phases[phase][0]])
    count, seconds = usual.phases[phase]
    return Aim(phase, draw.randint(1, count), draw.uniform(0, LATEST * seconds / count))


def steps(run: Path) -> list[Record]:
    """The whole lines of metrics.jsonl."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def is_finished(run: Path) -> bool:
    path = run / "manifest.json"
    return path.exists() and runs.read(path)["status"] == "finished"


def half_written(run: Path) -> list[str]:
    """Files under their own names that are not whole, right after a kill."""
    bad = [str(path.relative_to(run)) for path in visible(run) if not is_whole(path)]
    checkpoints = [(path.name, damage(path)) for path in list_checkpoints(run / "checkpoints")]
    return bad + [f"{name}: {reason}" for name, reason in checkpoints if reason is not None]


def visible(run: Path) -> Iterator[Path]:
    """Files, but for what is being written beside its place."""
    for path in sorted(run.rglob("*")):
        if path.is_file() and not any(part.endswith(SUFFIX) for part in path.relative_to(run).parts):
            yield path


def is_whole(path: Path) -> bool:
    try:
        match path.suffix:
            case ".json":
                json.loads(path.read_bytes())
            case ".jsonl":
                lines = path.read_bytes().split(b"\n")
                [json.loads(line) for line in lines[:-1]]
                return path.name == "metrics.jsonl" or lines[-1] == b""
            case ".safetensors":
                with safe_open(path, "pt") as tensors:
                    return all(tensors.get_tensor(name).numel() for name in tensors.keys())  # noqa: SIM118
            case _:
                return True
    except (ValueError, SafetensorError):
        return False
    return True


def differences(run: Path, whole: Path) -> list[str]:
    """What of a finished run is not as in the one that nothing interrupted."""
    found = [] if runs.untimed(run) == runs.untimed(whole) else ["metrics.jsonl"]
    found += [] if runs.read(run / "scores.json") == runs.read(whole / "scores.json") else ["scores.json"]
    found += [] if is_finished(run) else ["manifest.json"]
    files = {str(path.relative_to(root)) for root in (run, whole) for kept in KEPT for path in (root / kept).rglob("*")}
    found += sorted(name for name in files if contents(run / name) != contents(whole / name))
    return [*found, *(str(path.relative_to(run)) for path in run.rglob(f"*{SUFFIX}"))]


def contents(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def last_line(log: Path) -> str:
    return (log.read_text(encoding="utf-8", errors="replace").splitlines() or ["nothing was said"])[-1]


def describe(run: Record) -> str:
    landed = ", ".join(kill["landed_in"] for kill in run["kills"]) or "none"
    return f"{run['arm']}: killed in {landed}; {'; '.join(run['half_written'] + run['differs']) or 'the same bits'}"


def summary(found: Sequence[Record]) -> Record:
    """Counts of kills, by where they landed, and of the runs that came back."""
    kills = [(run["arm"], kill) for run in found for kill in run["kills"]]
    return {
        "kills": len(kills),
        "by_phase": dict(Counter(kill["landed_in"] for _, kill in kills).most_common()),
        "by_arm": dict(Counter(arm for arm, _ in kills)),
        "runs_killed": sum(bool(run["kills"]) for run in found),
        "same_bits": sum(bool(run["kills"]) and not run["differs"] for run in found),
        "half_written": sum(len(run["half_written"]) for run in found),
        "failed": sum(bool(run["differs"] or run["half_written"]) for run in found),
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
