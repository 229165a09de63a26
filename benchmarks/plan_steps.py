"""Real steps of a point: completions of exactly the planned length, graded in turn, and TRL's on random rows."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.plan_points import PROMPT, Point, build, recipe
from benchmarks.record import synchronized_time
from benchmarks.rollout import NEVER
from rltk.models.load import load_tokenizer
from rltk.offline.assemble import make_optimizer
from rltk.offline.course import Course
from rltk.offline.dpo import train_dpo
from rltk.offline.rows import Lesson, Pair
from rltk.offline.sft import train_sft
from rltk.offline.steps import Stage
from rltk.onpolicy.critic import make_critic
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner
from rltk.recipe.schema import Model
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling
from rltk.run.checkpoint import Progress
from rltk.run.folder import Metrics, RunFolder
from rltk.run.interrupt import Stop
from rltk.run.progress import Watch
from rltk.run.session import Desk
from rltk.run.trackers import Trackers

Mark = Callable[[str], None]
"""Called at the end of each phase of a step, which is its argument."""


class OnPolicy(NamedTuple):
    sampler: NativeSampler
    learner: Learner
    asked: list[list[int]]


def on_policy(point: Point) -> OnPolicy:
    model, can_pack = build(point)
    chosen = recipe(point)
    dtype = torch.bfloat16 if point.dtype == "bfloat16" else torch.float32
    critic = make_critic(chosen, model, lr=1e-6) if point.algo == "ppo" else None
    sampler = NativeSampler(model, stops=NEVER, batch=point.prompts * point.group, dtype=dtype)
    learner = Learner(chosen, model, lr=1e-6, can_pack=can_pack, critic=critic)
    return OnPolicy(sampler, learner, random_rows(point, point.prompts, PROMPT))


def on_policy_step(point: Point, made: OnPolicy, number: int, mark: Mark) -> None:
    rollouts = made.sampler.sample(made.asked, point.group, Sampling(point.length), seed=number)
    mark("sampling")
    episodes = [
        Episode(prompt, rollout, 1.0 - 2.0 * (g % 2), 1.0 - 2.0 * (g % 2), False)
        for prompt, group in zip(made.asked, rollouts, strict=True)
        for g, rollout in enumerate(group)
    ]
    made.learner.learn(episodes, number)
    mark("training")


def offline_steps(point: Point, mark: Mark) -> None:
    """All steps of the recipe but the last, which saves a checkpoint too."""
    chosen, (model, _) = recipe(point), build(point)
    tokenizer = load_tokenizer(Model(path="embedded/policy"))
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(steps=chosen.optim.steps, is_quiet=True)
        desk = Desk(RunFolder(Path(folder)), watch, Trackers((), Path(folder), "plan", {}), Stop(watch.say))

        def after_step(_: int) -> Metrics:
            mark("training")
            return {}

        optimizer = make_optimizer(chosen, model, 1e-6)
        stage = Stage(chosen, model, optimizer, course(point), Progress(0, 0), desk, after_step)
        (train_sft if point.algo == "sft" else train_dpo)(stage, tokenizer)


def course(point: Point) -> Course:
    prompts, chosen, rejected = (random_rows(point, point.prompts, size) for size in (PROMPT, *[point.length] * 2))
    rows: list[Lesson] | list[Pair] = [Lesson(*row) for row in zip(prompts, chosen, strict=True)]
    if point.algo == "dpo":
        rows = [Pair(*row) for row in zip(prompts, chosen, rejected, strict=True)]
    return Course(rows, [list(range(point.prompts))] * recipe(point).optim.steps)


def random_rows(point: Point, count: int, length: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(5, min(point.vocabulary, 1024), (count, length), generator=generator).tolist()


def real_seconds(point: Point, made: OnPolicy, number: int) -> dict[str, float]:
    """Of one step, phase by phase."""
    seconds, started = dict[str, float](), [synchronized_time()]

    def mark(phase: str) -> None:
        now = synchronized_time()
        seconds[phase], started[0] = now - started[0], now

    on_policy_step(point, made, number, mark)
    return seconds
