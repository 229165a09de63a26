"""Accuracy of a policy on problems: greedy, and sampled as often as asked."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rltk_eval.grading import Completion, Item, ItemResult, grade_items, summarize
from transformers import PreTrainedTokenizerBase

from rltk.data.prompt import PromptRenderer, completion_text, render_all
from rltk.data.tasks import Task
from rltk.rollout.sampler import Rollout, Sampler, Sampling
from rltk.seeds import derive

Report = Callable[[int, int], None]
"""Called with problems done and problems in all."""


class Evaluation(NamedTuple):
    score: dict[str, Any]
    rows: list[dict[str, Any]]


class Evaluator:
    """Completes problems with a sampler and grades them as training does."""

    def __init__(
        self,
        sampler: Sampler,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_new_tokens: int,
        context: int | None,
        batch: int,
    ) -> None:
        self.sampler, self.tokenizer = sampler, tokenizer
        self.max_new_tokens, self.context, self.batch = max_new_tokens, context, batch

    def evaluate(self, task: Task, *, samples: int, temperature: float, seed: int, report: Report) -> Evaluation:
        """Greedy accuracy, with that of `samples` sampled completions a problem under `sampled` where asked for."""
        count = len(task.problems)
        total = count * (2 if samples else 1)
        greedy = self.grade(task, 1, 0.0, seed, lambda done: report(done, total))
        score: dict[str, Any] = {**summarize(greedy)}
        rows: list[dict[str, Any]] = [{**result.to_json(), "decoding": "greedy"} for result in greedy]
        if samples:
            drawn = self.grade(task, samples, temperature, seed, lambda done: report(count + done, total))
            score["sampled"] = {**summarize(drawn), "temperature": temperature}
            rows += [{**result.to_json(), "decoding": "sampled"} for result in drawn]
        return Evaluation(score, rows)

    def grade(
        self, task: Task, samples: int, temperature: float, seed: int, report: Callable[[int], None]
    ) -> list[ItemResult]:
        renderer, sampling = PromptRenderer(self.tokenizer, task.data), Sampling(self.max_new_tokens, temperature)
        size, results = max(1, self.batch // samples), list[ItemResult]()
        for start in range(0, len(task.problems), size):
            problems = task.problems[start : start + size]
            prompts = render_all(renderer, problems, max_new_tokens=self.max_new_tokens, context=self.context)
            groups = self.sampler.sample(prompts, samples, sampling, seed=derive(seed, "evaluate", temperature, start))
            items = [Item(problem.id, renderer.text(problem), problem.answer, problem.level) for problem in problems]
            results += grade_items(items, [[self.read(rollout) for rollout in group] for group in groups])
            report(start + len(problems))
        return results

    def read(self, rollout: Rollout) -> Completion:
        text = completion_text(self.tokenizer, rollout.tokens_T)
        return Completion(text, len(rollout.tokens_T), rollout.is_truncated)
