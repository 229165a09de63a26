"""The folder that `rltk eval --out` fills: `settings.json`, `items/<task>.jsonl` block by block, then `scores.json`."""

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from shlex import join

from rltk.errors import UserError
from rltk.evaluation.earlier import ITEMS, SCORES, SETTINGS, read_settings
from rltk.evaluation.settings import Settings, differences

AGAINST = "against"
"""Folder, in that of an evaluation, of the one that it is compared with."""
MOST_SHOWN = 3


def chosen_folder(args: Namespace) -> Path | None:
    """Where `--out` says that results go; None where they are kept nowhere."""
    if args.out is None:
        if args.resume:
            raise UserError("--resume goes on in the folder that --out names; add it.")
        return None
    check_folder(Path(args.out), is_resuming=args.resume)
    return Path(args.out)


def check_folder(out: Path, *, is_resuming: bool) -> None:
    """Refuses a folder that cannot take the results, before there are any."""
    if is_resuming:
        if not has_begun(out):
            raise UserError(f"--resume: no evaluation has begun in {out}; leave it out.")
    elif any(os.path.exists(out / name) for name in (SETTINGS, SCORES, ITEMS, f"{AGAINST}/{SETTINGS}")):
        raise UserError(f"--out {out}: it holds an evaluation; add --resume to go on with it, or name another folder.")
    deepest = next(path for path in (out, *out.parents) if os.path.exists(path))
    if not (os.path.isdir(deepest) and os.access(deepest, os.W_OK)):
        raise UserError(f"--out {out}: no folder can be made there; name another.")


def has_begun(out: Path) -> bool:
    """Whether there is anything to go on with."""
    return any(os.path.exists(folder / SETTINGS) for folder in (out, out / AGAINST))


def command_again(command: str, argv: Sequence[str], folder: Path) -> str:
    """What goes on with the command that was called with `argv`, or begins it anew where it has left nothing."""
    words = [word for word in argv if word != "--resume"] + ["--resume"] * has_begun(folder)
    return join(["rltk", command, *words])


def check_settings(folder: Path, settings: Settings) -> None:
    """Refuses to go on with an evaluation that began with other settings: its numbers would be of neither."""
    if not os.path.exists(folder / SETTINGS):
        return
    changed = differences(read_settings(folder), as_json(settings))
    if changed:
        more = f" (and {len(changed) - MOST_SHOWN} more)" if len(changed) > MOST_SHOWN else ""
        raise UserError(
            f"the evaluation in {folder} began with other settings: {', '.join(changed[:MOST_SHOWN])}{more}; "
            "resume it with the same, or name another folder."
        )


def as_json(settings: Settings) -> Settings:
    return json.loads(json.dumps(settings))
