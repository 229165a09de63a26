"""Evaluation by rewards, for prompts that have no answer: rows as items keep them, and means with intervals.

Scores have `reward` where those of problems have `accuracy`: the weighted sum that training raises, with each reward by
its name and, where it is known, the gold reward.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rltk_eval.metrics import clustered_interval, mean_of_items
from transformers import PreTrainedTokenizerBase

from rltk.data.problems import Problem
from rltk.data.prompt import completion_text
from rltk.evaluation.blocks import Block
from rltk.evaluation.items import Row
from rltk.rewards.dense import amount
from rltk.rewards.judge import Judge, Sample
from rltk.rollout.sampler import Rollout


def rewarded_rows(
    judge: Judge,
    tokenizer: PreTrainedTokenizerBase,
    block: Block,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[str],
    groups: Sequence[Sequence[Rollout]],
) -> list[Row]:
    """The rows of a block, problem after problem; `texts` are what the prompts say."""
    samples = [
        Sample(problem, prompt, rollout, completion_text(tokenizer, rollout.tokens_T))
        for problem, prompt, group in zip(block.problems, prompts, groups, strict=True)
        for rollout in group
    ]
    judgement = judge.judge(samples)
    shown: Mapping[Problem, str] = dict(zip(block.problems, texts, strict=True))
    return [
        {
            "id": sample.problem.id,
            "sample": index % block.samples,
            "prompt": shown[sample.problem],
            "completion": sample.text,
            "reward": judgement.totals[index],
            "rewards": {name: amount(scores[index]) for name, scores in judgement.by_name.items()},
            "gold_reward": None if judgement.gold is None else judgement.gold[index],
            "tokens": len(sample.rollout.tokens_T),
            "truncated": sample.rollout.is_truncated,
            "subject": sample.problem.subject,
            "decoding": block.decoding,
        }
        for index, sample in enumerate(samples)
    ]


def score_rewarded(rows: Sequence[Row], *, temperature: float) -> dict[str, Any]:
    """The scores of a task: greedy ones, and under `sampled` those of the samples, where there are any."""
    sampled = [row for row in rows if row["decoding"] == "sampled"]
    score = summarize([row for row in rows if row["decoding"] == "greedy"])
    return score | ({"sampled": {**summarize(sampled), "temperature": temperature}} if sampled else {})


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    names = list(rows[0]["rewards"]) if rows else []
    knows_gold = bool(rows) and rows[0]["gold_reward"] is not None
    return {
        **mean(rows, [row["reward"] for row in rows]),
        "rewards": {name: mean(rows, [row["rewards"][name] for row in rows]) for name in names},
        **({"gold_reward": mean(rows, [row["gold_reward"] for row in rows])} if knows_gold else {}),
        "samples": len(rows),
        "truncated": fmean(row["truncated"] for row in rows) if rows else float("nan"),
        "mean_tokens": fmean(row["tokens"] for row in rows) if rows else float("nan"),
    }


def mean(rows: Sequence[Row], values: Sequence[float | None]) -> dict[str, Any]:
    """The mean over prompts of each one's mean, and its 95 % interval, clustered by prompt.

    Completions that could not be judged are left out and counted.
    """
    by_item: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        if value is not None:
            by_item.setdefault(row["id"], []).append(value)
    grouped = list(by_item.values())
    unjudged = {"unjudged": values.count(None)} if None in values else {}
    return {"reward": mean_of_items(grouped), "ci95": [*clustered_interval(grouped)], "n": len(grouped)} | unjudged
