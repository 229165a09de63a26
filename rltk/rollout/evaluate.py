"""Accuracy of a policy on problems, or its rewards on prompts without answers; greedy, and sampled as asked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rltk_eval.grading import Completion, Item, grade_items
from transformers import PreTrainedTokenizerBase

from rltk.data.prompt import PromptRenderer, completion_text, render_all
from rltk.data.tasks import Task
from rltk.data.templates import Template
from rltk.evaluation.blocks import Block, Report, fill, make_blocks
from rltk.evaluation.items import Items, Row, score_rows
from rltk.rewards.judge import Judge
from rltk.rollout.rewarded import rewarded_rows, score_rewarded
from rltk.rollout.sampler import Rollout, Sampler, Sampling


class Evaluation(NamedTuple):
    score: dict[str, Any]
    rows: list[Row]


class Evaluator:
    """Completes problems with a sampler and grades them as training does."""

    def __init__(
        self,
        sampler: Sampler,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_new_tokens: int,
        context: int | None,
        judge: Judge | None = None,
    ) -> None:
        """Without a judge only problems that have answers can be evaluated."""
        self.sampler, self.tokenizer, self.judge = sampler, tokenizer, judge
        self.max_new_tokens, self.context = max_new_tokens, context

    def evaluate(
        self,
        task: Task,
        *,
        samples: int,
        temperature: float,
        seed: int,
        report: Report,
        k: Sequence[int] = (),
        items: Items | None = None,
    ) -> Evaluation:
        """Greedy accuracy, or mean reward; that of `samples` sampled completions a problem stands under `sampled`.

        Whole blocks that `items` holds already are not made again; it gets each further block as soon as it is graded.
        """
        items = Items() if items is None else items
        blocks = make_blocks(task, samples=samples, temperature=temperature, seed=seed)
        fill(items, blocks, task.name, lambda block: self.complete(task, block), report)
        if task.data.kind == "preferences":
            return Evaluation(score_rewarded(items.rows, temperature=temperature), items.rows)
        return Evaluation(score_rows(items.rows, task.prompt.to_json(), temperature=temperature, k=k), items.rows)

    def complete(self, task: Task, block: Block) -> list[Row]:
        renderer, sampling = PromptRenderer(self.tokenizer, task.data), Sampling(self.max_new_tokens, block.temperature)
        prompts = render_all(renderer, block.problems, max_new_tokens=self.max_new_tokens, context=self.context)
        groups = self.sampler.sample(prompts, block.samples, sampling, seed=block.seed)
        if task.data.kind == "preferences":
            assert self.judge is not None
            texts = [renderer.text(problem) for problem in block.problems]
            return rewarded_rows(self.judge, self.tokenizer, block, prompts, texts, groups)
        items = [
            Item(problem.id, renderer.text(problem), problem.answer, problem.level, problem.kind, problem.subject)
            for problem in block.problems
        ]
        results = grade_items(items, [[self.read(rollout, task.prompt) for rollout in group] for group in groups])
        return [{**result.to_json(), "decoding": block.decoding} for result in results]

    def read(self, rollout: Rollout, template: Template) -> Completion:
        """What answers the question; a model that has gone on to a problem of its own was not cut off answering."""
        text = completion_text(self.tokenizer, rollout.tokens_T)
        answer = template.answer(text)
        return Completion(answer, len(rollout.tokens_T), rollout.is_truncated and answer == text)
