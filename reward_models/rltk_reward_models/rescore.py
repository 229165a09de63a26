"""`python -m rltk_reward_models.rescore FOLDER`: scores as a fresh process that loads the folder has them.

Standard input is a JSON list of conversations (text or messages); standard output {"scores": [...]} in their order.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rltk_reward_models.conversations import Message

TOLERANCE = 1e-5
"""Of a score, absolute up to 1 and relative beyond."""


def rescore(
    folder: str | Path,
    conversations: Sequence[str | Sequence[Message]],
    *,
    base: str | None,
    device: str,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> list[float]:
    """Scores from a fresh process; ValueError with its words if it cannot give them."""
    command = [sys.executable, "-m", "rltk_reward_models.rescore", str(folder), "--device", device]
    named = {"--base": base, "--revision": revision}
    command += [word for option, value in named.items() if value is not None for word in (option, value)]
    done = subprocess.run(
        [*command, "--trust-remote-code"] if trust_remote_code else command,
        input=json.dumps([c if isinstance(c, str) else [dict(message) for message in c] for c in conversations]),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{folder} cannot be scored with: {(done.stderr.strip() or 'no words').splitlines()[-1]}")
    return json.loads(done.stdout)["scores"]


def worst_difference(scores: Sequence[float], again: Sequence[float]) -> float:
    """The largest difference, relative where a score is beyond 1; 0 of nothing."""
    both = zip(scores, again, strict=True)
    return max((abs(one - other) / max(1.0, abs(one)) for one, other in both), default=0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    from rltk_reward_models.scorer import Scorer  # torch, which who calls `rescore` may not need

    parser = argparse.ArgumentParser(prog="python -m rltk_reward_models.rescore", description=__doc__)
    parser.add_argument("folder", help="a reward model, or an adapter of one")
    parser.add_argument("--base", help="folder or hub id of the adapter's base, if not the one it names")
    parser.add_argument("--revision", help="branch, tag or commit of the adapter's base, if not the one it names")
    parser.add_argument("--trust-remote-code", action="store_true", help="let Python code of the model run here")
    parser.add_argument("--device", default="cpu", help="such as cuda or cuda:1")
    options = parser.parse_args(arguments)
    try:
        scorer = Scorer.load(
            options.folder,
            base=options.base,
            revision=options.revision,
            trust_remote_code=options.trust_remote_code,
            device=options.device,
        )
        scores = [scored.score for scored in scorer.scores(json.load(sys.stdin))]
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"scores": scores}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
