"""Pairs that the starting policy writes: it answers problems, and what the checker accepts is preferred.

They are kept in the run folder as `pairs.jsonl`, which `rltk train` reads as data too, and are not sampled again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from rltk.data.pairs import PairReport, Sample, SampledPairs, make_pairs
from rltk.data.preference_rows import PreferenceSource
from rltk.data.preferences import Preference, load_preferences
from rltk.data.problems import Order, Problem
from rltk.data.prompt import PromptRenderer, completion_text, render_all
from rltk.distributed import world
from rltk.errors import UserError
from rltk.recipe.schema import EVAL_BLOCK, Paired, Recipe
from rltk.rewards.verifiable import grade
from rltk.rollout.sampler import Sampler, Sampling
from rltk.run.atomic import write_jsonl
from rltk.seeds import derive

FILE = "pairs.jsonl"


@dataclass(frozen=True)
class Writer:
    """The policy that answers, and how it is asked."""

    recipe: Recipe
    sampler: Sampler
    tokenizer: PreTrainedTokenizerBase
    context: int | None


class OwnPairs(NamedTuple):
    pairs: list[Preference]
    report: PairReport | None
    """None where an earlier process has sampled them."""


def own_pairs(writer: Writer, problems: list[Problem], folder: Path, *, report: Callable[[int, int], None]) -> OwnPairs:
    """The pairs in the folder, which are sampled if there are none; read from there either way, as a resume does."""
    kept, found = folder / FILE, None
    if not world.of_first(kept.exists):
        made = write_pairs(writer, problems, report)
        write_jsonl(kept, [pair.to_json() for pair in made.pairs])
        found = made.report
        world.meet()
    return OwnPairs(load_preferences(PreferenceSource(str(kept))).pairs, found)


def write_pairs(writer: Writer, problems: list[Problem], report: Callable[[int, int], None]) -> SampledPairs:
    """Asks problems in the order of the seed until there are as many pairs as the steps take, or problems run out."""
    algo, recipe = writer.recipe.algo, writer.recipe
    assert isinstance(algo, Paired)
    wanted, samples = recipe.optim.steps * algo.batch, list[Sample]()
    made = SampledPairs([], PairReport(0, 0, 0, 0, 0, 0))
    for block in blocks(problems, algo.samples, recipe.seed):
        samples += answer(writer, block, algo.samples)
        made = make_pairs(samples, per_problem=algo.pairs, seed=recipe.seed)
        report(min(len(made.pairs), wanted), wanted)
        if len(made.pairs) >= wanted:
            break
    if not made.pairs:
        raise UserError(
            f"the starting policy gives no pair of a correct and an incorrect answer ({made.report.text}); take easier "
            "problems, a policy that solves some (rltk train with algo.type=sft), or raise algo.samples."
        )
    return made._replace(pairs=made.pairs[:wanted])


def blocks(problems: list[Problem], samples: int, seed: int) -> Iterator[list[Problem]]:
    """As many problems at a time as an evaluation draws completions together."""
    size, ordered = max(1, EVAL_BLOCK // samples), Order(problems, seed=seed)
    for start in range(0, len(problems), size):
        yield [ordered.at(place) for place in range(start, min(start + size, len(problems)))]


def answer(writer: Writer, problems: list[Problem], count: int) -> list[Sample]:
    """Graded completions; one that was cut off is none, since it does not end as a reply does."""
    rollout, renderer = writer.recipe.rollout, PromptRenderer(writer.tokenizer, writer.recipe.data)
    prompts = render_all(renderer, problems, max_new_tokens=rollout.max_new_tokens, context=writer.context)
    sampling = Sampling(rollout.max_new_tokens, rollout.temperature, rollout.top_k, rollout.top_p, rollout.min_p)
    seed = derive(writer.recipe.seed, "pairs", problems[0].id)
    groups = writer.sampler.sample(prompts, count, sampling, seed=seed)
    rows = [
        (problem, completion_text(writer.tokenizer, one.tokens_T))
        for problem, group in zip(problems, groups, strict=True)
        for one in group
        if not one.is_truncated and not one.is_broken
    ]
    grades = grade([problem for problem, _ in rows], [text for _, text in rows])
    return [
        Sample(problem.id, renderer.messages(problem), text, verdict.correct)
        for (problem, text), verdict in zip(rows, grades, strict=True)
    ]
