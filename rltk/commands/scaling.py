"""`rltk scaling`: `run` makes the runs of a grid (`scaling_run.py`); `fit` finds in their results laws of loss against
data and size for each arm, and where LoRA falls behind full fine-tuning.
"""

import argparse
import json
from pathlib import Path

from rltk_eval.scaling_law import Residual

from rltk.errors import UserError
from rltk.run.atomic import without_nan
from rltk.scaling.fit import PARAMETERS, Analysis, analyse, to_json
from rltk.scaling.read import read_results

FULL = ("full", "FullFT", "F")
"""Names under which an arm is full fine-tuning, where --reference does not say."""


OF_RUN = {
    "overrides": "key=value",
    "profile": "--profile",
    "out": "--out",
    "jobs": "--jobs",
    "on": "--on",
    "budget": "--budget",
    "part": "--part",
    "quiet": "--quiet",
}
OF_FIT = {key: f"--{key}" for key in ("reference", "residual", "draws", "seed", "plot")}


def scaling(args: argparse.Namespace) -> int:
    refuse_without_effect(args)
    if args.what == "run":
        from rltk.commands.scaling_run import scaling_run

        return scaling_run(args)
    return fit(args)


def refuse_without_effect(args: argparse.Namespace) -> None:
    other, theirs = ("fit", OF_FIT) if args.what == "run" else ("run", OF_RUN)
    for key, option in theirs.items():
        if getattr(args, key) not in (None, False, []):
            raise UserError(f"{option} goes with `rltk scaling {other}`; leave it out of `rltk scaling {args.what}`.")


def fit(args: argparse.Namespace) -> int:
    results = read_results(args.target)
    reference = args.reference or next((name for name in FULL if name in results.arms), None)
    residual = Residual(args.residual or "loss")
    draws = 200 if args.draws is None else args.draws
    analysis = analyse(results.arms, reference=reference, residual=residual, draws=draws, seed=args.seed or 0)
    if args.plot:
        from rltk.scaling.plot import draw  # matplotlib takes a second to import

        try:
            draw(Path(args.plot), results.arms, analysis)
        except OSError as error:
            raise UserError(f"--plot {args.plot} cannot be written: {error}") from error
    found = {"results": args.target, "failed_runs": results.failed, **to_json(analysis), "plot": args.plot}
    if args.json:
        print(json.dumps(without_nan(found), indent=2))
    else:
        show(analysis, results.failed)
    return 0


def show(analysis: Analysis, failed: int) -> None:
    if failed:
        print(f"{failed} runs without a loss are left out")
    for arm, forms in analysis.arms.items():
        for form, one in forms.items():
            if one.fit is None:
                print(f"{arm}, {form.value}: {one.problem}")
                continue
            law = ", ".join(f"{name} {getattr(one.fit.law, name):.4g}" for name in PARAMETERS[form])
            error = "" if one.held_out is None else f"; held-out error {one.held_out.error:.4g}"
            print(f"{arm}, {form.value}: {law}{error}")
    for found in analysis.crossings:
        data, (low, high) = found.crossing.data, found.crossing.interval
        where = f"at {data:.3g} data, 95 % interval {low:.3g} to {high:.3g}"
        said = where if data == data else found.crossing.problem
        flag = ", extrapolated" if found.crossing.is_extrapolated else ""
        print(f"{found.arm} falls behind {analysis.reference} (size {found.size:g}): {said}{flag}")
    if analysis.reference is None and len(analysis.arms) > 1:
        print("no arm is called full, so none are compared; say which with --reference")
