"""`rltk export`: an adapter, a merged model or a whole model with its card, for plain transformers, PEFT and vLLM."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from rltk.errors import UserError
from rltk.export.card import render, vllm_obstacle
from rltk.export.place import new_place, writing
from rltk.export.source import Source, find_source

CARD = "README.md"


def export(args: Namespace) -> None:
    source = find_source(args.run)
    dtype = chosen_dtype(args, source)
    out = new_place(args.out, source.run)
    if args.public and args.push is None:
        raise UserError("--public is for --push REPO; add it, or leave --public out.")
    if args.push is not None:
        from rltk.export.hub import check_hub

        check_hub(args.push)
    made = make(source, out, is_merged=args.merge, dtype=dtype)
    if args.push is not None:
        from rltk.export.hub import push

        made["pushed"] = push(out, args.push, is_public=args.public)
    report(made, source, is_json=args.json)


def chosen_dtype(args: Namespace, source: Source) -> str:
    """float32 unless asked otherwise: what was trained, to the last bit."""
    if args.merge and source.adapter is None:
        raise UserError(f"--merge: every weight of {args.run} trained, so there is no adapter to merge; leave it out.")
    if args.dtype is not None and source.adapter is not None and not args.merge:
        raise UserError(
            "--dtype is for whole models; add --merge, or leave it out: an adapter stays as it was trained."
        )
    return args.dtype or "float32"


def make(source: Source, out: Path, *, is_merged: bool, dtype: str) -> dict[str, Any]:
    """Writes the folder, or nothing."""
    # Only now: what is mistyped is answered in a fraction of the time that torch takes to import.
    from rltk.export.write import write
    from rltk.models.quiet import quiet_libraries

    quiet_libraries()
    with writing(out) as folder:
        exported = write(source, folder, is_merged=is_merged, dtype=dtype)
        (folder / CARD).write_text(render(source, **exported._asdict()), encoding="utf-8")
    return {"run": str(source.run), "out": str(out), **exported._asdict()}


def report(made: dict[str, Any], source: Source, *, is_json: bool) -> None:
    if is_json:
        print(json.dumps(made))
        return
    loaders = "transformers and PEFT" if made["form"] == "adapter" else "transformers"
    print(f"{made['out']}: {made['form']}, {made['dtype']}")
    print(f"loaded by plain {loaders} elsewhere, logits differ from the run's by at most {made['difference']:.3g}")
    if made["form"] == "adapter" and Path(source.base).is_absolute():
        print(f"the adapter needs its base, a folder of this machine: {source.base} (--merge needs none)")
    if made["form"] == "adapter" and (obstacle := vllm_obstacle(source)):
        print(f"vLLM does not load it ({obstacle}); --merge makes a model that it loads")
    if "pushed" in made:
        print(f"pushed to {made['pushed']}")
