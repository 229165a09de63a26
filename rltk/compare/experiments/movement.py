"""FG-2: whether how far a run moved the model on its own task predicts what it forgot of another.

The distance is KL(base || run) of whole completions, in nats: of completions that the base samples, the KL divergences
of the next token summed over their tokens and averaged over problems, which is the chain rule of KL. Shenfeld et al.
2025 (RL's Razor, arXiv 2509.04259) fit a quadratic to it.

Shapes: R runs, N problems, T tokens of a completion, V vocabulary, B bootstrap draws.
"""

import json
from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rltk_eval.equivalence.scores import Array
from rltk_eval.metrics import Interval
from torch import Tensor, nn

from rltk.compare.experiments.finished_runs import ON_POLICY, welch
from rltk.compare.experiments.finished_runs import Settings as FinishedRuns
from rltk.compare.experiments.small import device
from rltk.compare.outcome import Outcome, ends, verdict_of
from rltk.data.asked import load_asked
from rltk.data.prompt import PromptRenderer
from rltk.errors import UserError
from rltk.evaluation.target import Target, run_target
from rltk.models.bases import attach
from rltk.models.load import compute_dtype, load_tokenizer, load_weights, pad_token, stop_tokens
from rltk.recipe.fields import Count
from rltk.recipe.resolved import recipe_from_resolved
from rltk.recipe.schema import Recipe
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.rollout.sampler import Sampling
from rltk.run.folder import read_object

FEWEST = 6
"""Runs that a parabola is fitted to: twice its coefficients."""
PREDICTS = 0.7
DRAWS = 2_000
WIDTH_OF_95 = 3.92
"""Standard errors from end to end of a 95 % interval."""


class Settings(FinishedRuns):
    problems: Count = 64
    """Held-out problems whose completions the distance is measured on."""


class Moved(NamedTuple):
    """A finished run, and what its scores say of the second task."""

    path: Path
    recipe: Recipe
    tasks: tuple[str, str]
    before: float | None
    """None where it was not evaluated: then another run of that base was."""
    after: float
    error: float
    """Standard error of the score after training."""
    items: str
    """What the items of the second task were, so that scores of the same are held together."""

    @property
    def start(self) -> tuple[str, str | None, str | None, tuple[str, str]]:
        model = self.recipe.model
        return model.path, model.revision, model.quantize, self.tasks


def measure(settings: Settings) -> Outcome:
    runs = comparable(list(found_runs(Path(settings.runs))), settings.runs)
    kl_R = np.array(distances(runs, settings.problems))
    lost_R = np.array([start_of(run, runs) - run.after for run in runs])
    r2, interval = explained(kl_R, lost_R)
    is_noise = lost_R.std(ddof=1) < 2 * float(np.mean([run.error for run in runs]))
    verdict = verdict_of(is_shown=interval.low >= PREDICTS, is_refuted=interval.high < PREDICTS)
    kinds = [run.recipe.algo.type for run in runs]
    supervised_R, reinforced_R = kl_R[[kind == "sft" for kind in kinds]], kl_R[[kind in ON_POLICY for kind in kinds]]
    moved = moves(supervised_R, reinforced_R)
    summary = f"R2 {r2:.2f} [{interval.low:.2f}, {interval.high:.2f}] over {len(runs)} runs; {moved}"
    if is_noise:
        summary += f"; they forgot no more of {runs[0].tasks[1]} than the noise of its score"
    rows = {
        str(run.path): {"algo": run.recipe.algo.type, "tune": run.recipe.tune.type, "kl": kl, "forgotten": lost}
        for run, kl, lost in zip(runs, kl_R.tolist(), lost_R.tolist(), strict=True)
    }
    return Outcome("inconclusive" if is_noise else verdict, summary, r2, ends(interval), {"runs": rows})


def found_runs(folder: Path) -> Iterator[Moved]:
    """Policies beneath the folder that are finished, still have their model and were evaluated on two tasks; of those
    with one and the same recipe the first."""
    seen = set[str]()
    for file in sorted(folder.rglob("scores.json")):
        path = file.parent
        scores, manifest = read_object(file), read_object(path / "manifest.json")
        after = scores.get("after", {})
        accuracies = [score.get("accuracy") for score in after.values()]
        is_whole = manifest.get("status") == "finished" and (path / "model").is_dir()
        if not is_whole or len(after) < 2 or not all(isinstance(one, float) for one in accuracies[:2]):
            continue
        if (recipe_hash := str(manifest.get("recipe_hash"))) in seen:
            continue
        seen.add(recipe_hash)
        recipe = recipe_from_resolved(manifest["recipe"], str(path / "manifest.json"))
        first, second = list(after)[:2]
        low, high = after[second]["ci95"]
        before = scores.get("before", {}).get(second, {}).get("accuracy")
        items = json.dumps(
            [manifest.get("task_hashes", {}).get(second), after[second].get("prompt"), after[second]["n"]]
        )
        yield Moved(path, recipe, (first, second), before, accuracies[1], (high - low) / WIDTH_OF_95, items)


def comparable(runs: list[Moved], folder: str) -> list[Moved]:
    """UserError unless there are enough, all of one base and of the same two tasks."""
    if len(runs) < FEWEST:
        raise UserError(
            f"{len(runs)} finished runs beneath {folder} were evaluated on two tasks, and {FEWEST} or more are needed; "
            "train some, by SFT and by GRPO and at several learning rates, with: "
            "rltk train gsm8k_sft 'eval.tasks=[heldout,equations]' optim.lr=RATE"
        )
    for odd in runs[1:]:
        if odd.start != runs[0].start:
            raise UserError(
                f"{odd.path} began with {odd.start[0]} and was evaluated on {' and '.join(odd.tasks)}, {runs[0].path} "
                f"with {runs[0].start[0]} on {' and '.join(runs[0].tasks)}; name a folder of runs that share both with "
                "--from."
            )
    return runs


def start_of(run: Moved, runs: Sequence[Moved]) -> float:
    """What the base scored on the items that the run was evaluated on: by this run, or by another with the same."""
    known = [one.before for one in (run, *runs) if one.before is not None and one.items == run.items]
    if not known:
        raise UserError(
            f"what the base of {run.path} scored on {run.tasks[1]} before training is not known: neither it nor "
            "another run was evaluated on the same items then (eval.before, eval.limit)."
        )
    return known[0]


def distances(runs: Sequence[Moved], problems: int) -> list[float]:
    """Of each run, on completions that the base samples once, of held-out problems of the first run's recipe."""
    recipe, where = runs[0].recipe, device()
    tokenizer, base = load_tokenizer(recipe.model), load_weights(recipe.model, where).eval()
    renderer = PromptRenderer(tokenizer, recipe.data)
    prompts = [renderer.tokens(problem) for problem in load_asked(recipe.data, recipe.eval.split, problems)]
    stops, dtype = stop_tokens(base, tokenizer), compute_dtype(recipe.model)
    engine = choose_engine("auto", base)
    sampler = make_sampler(engine, base, stops=stops, pad=pad_token(tokenizer, stops), batch=None, dtype=dtype)
    sampled = sampler.sample(prompts, 1, Sampling(recipe.rollout.max_new_tokens), seed=0)
    rows = [
        (torch.tensor([*prompt, *group[0].tokens_T.tolist()], device=where), len(prompt))
        for prompt, group in zip(prompts, sampled, strict=True)
    ]
    return [distance(base, load_run(run_target(run.path), where), rows) for run in runs]


def load_run(target: Target, where: torch.device) -> nn.Module:
    model = load_weights(target.model, where).eval()
    return model if target.adapter is None else attach(model, target.adapter)


@torch.inference_mode()
def distance(base: nn.Module, model: nn.Module, rows: Sequence[tuple[Tensor, int]]) -> float:
    """Nats a completion, mean over rows of [prompt and completion], each with the length of its prompt.

    One row at a time, so that no more than two [T, V] tensors exist.
    """
    found = [token_kl(logits(base, ids_T, start), logits(model, ids_T, start)).sum().item() for ids_T, start in rows]
    if not np.isfinite(found).all():
        raise UserError("the logits of a run are no numbers, so there is no distance; leave that run out.")
    return float(np.mean(found))


def logits(model: nn.Module, ids_T: Tensor, start: int) -> Tensor:
    """[T, V], of the tokens from `start` on."""
    return model(input_ids=ids_T[None]).logits[0, start - 1 : -1].float()


def token_kl(of_TV: Tensor, to_TV: Tensor) -> Tensor:
    """[T], KL(of || to) of the softmaxes of logits."""
    of_TV, to_TV = of_TV.log_softmax(-1), to_TV.log_softmax(-1)
    return (of_TV.exp() * (of_TV - to_TV)).sum(-1)


def explained(x_R: Array, y_R: Array) -> tuple[float, Interval]:
    """R2 of the least-squares parabola, with a 95 % percentile interval from runs drawn again.

    A run that is drawn twice helps the fit, and few runs are fitted well by anything, so each draw's R2 is adjusted for
    its different runs, of which a draw with fewer than four is left out: a parabola goes through any three.
    """
    rng = np.random.default_rng(0)
    drawn_B = [adjusted(r_squared(x_R[at], y_R[at]), len(set(at.tolist())))
               for at in rng.integers(len(x_R), size=(DRAWS, len(x_R)))]  # fmt: skip
    known_B = [one for one in drawn_B if np.isfinite(one)]
    value = r_squared(x_R, y_R)
    if not known_B or not np.isfinite(value):
        return value, Interval(nan, nan)
    low, high = np.quantile(known_B, [0.025, 0.975])
    return value, Interval(float(low), float(high))


def adjusted(r2: float, different: int) -> float:
    """For the two coefficients beside the constant; nan with three runs or fewer."""
    return 1 - (1 - r2) * (different - 1) / (different - 3) if different > 3 else nan


def r_squared(x_R: Array, y_R: Array) -> float:
    """nan where all y are the same."""
    design_R3 = np.vander(x_R / max(float(np.abs(x_R).max()), 1e-12), 3)
    coefficient_3, *_ = np.linalg.lstsq(design_R3, y_R, rcond=None)
    total = float(((y_R - y_R.mean()) ** 2).sum())
    return 1 - float(((y_R - design_R3 @ coefficient_3) ** 2).sum()) / total if total > 0 else nan


def moves(supervised_R: Array, reinforced_R: Array) -> str:
    """How far each way of training moved the model, and by how much more the one did."""
    if not len(supervised_R) or not len(reinforced_R):
        kind = "supervised" if len(supervised_R) else "reinforced"
        return f"all of them {kind}"
    said = f"moved by {supervised_R.mean():.3g} nats a completion when supervised, {reinforced_R.mean():.3g} reinforced"
    if min(len(supervised_R), len(reinforced_R)) < 2:
        return said
    low, high = welch(supervised_R, reinforced_R)
    return f"{said}, {supervised_R.mean() - reinforced_R.mean():.3g} more [{low:.3g}, {high:.3g}]"
