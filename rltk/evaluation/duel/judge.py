"""A reward model's scores of both policies' completions, and what they come to."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rltk_reward_models.pairs import clustered_mean, share_interval, t_interval
from rltk_reward_models.scorer import Scorer

from rltk.data.templates import Template
from rltk.data.transcripts import Messages
from rltk.errors import UserError
from rltk.evaluation.duel.prompts import PromptTask, asked
from rltk.evaluation.items import Items, Row
from rltk.evaluation.pairs.measure import BLOCK, in_whole_blocks, score_all
from rltk.rewards.text import completed_text


def check_duel(row: Row) -> None:
    _ = row["id"], row["sample"], row["decoding"], float(row["a_score"]), float(row["b_score"]), float(row["win"])


def judge(
    scorer: Scorer,
    task: PromptTask,
    template: Template,
    sides: tuple[Sequence[Row], Sequence[Row]],
    *,
    path: Path | None,
    report: Callable[[int, int], None],
) -> list[Row]:
    """A row for each prompt and sample, with both completions and scores; blocks that are kept are not scored again."""
    items, prompts = Items(path, check_duel), {prompt.id: prompt for prompt in task.problems}
    both = list(zip(*sides, strict=True))
    found = [(row["id"], row["sample"], row["decoding"]) for row in items.rows]
    if found != [(a["id"], a["sample"], a["decoding"]) for a, _ in both[: len(found)]]:
        raise UserError(f"{items.path} does not hold the duels of {task.name} in order; evaluate anew elsewhere.")
    items.keep(in_whole_blocks(len(found), of=len(both)))
    for start in range(len(items.rows), len(both), BLOCK):
        block = [(asked(prompts[a["id"]], task.plain, template), a, b) for a, b in both[start : start + BLOCK]]
        items.add(list(judge_block(scorer, task, block)))
        report(min(start + BLOCK, len(both)), len(both))
    return items.rows


def judge_block(scorer: Scorer, task: PromptTask, block: Sequence[tuple[Messages, Row, Row]]) -> Iterator[Row]:
    def text(messages: Messages, row: Row) -> str:
        is_cut_off = row["truncated"]
        return completed_text(messages, row["completion"], scorer.tokenizer, plain=task.plain, is_cut_off=is_cut_off)

    texts = [text(messages, row) for messages, *rows in block for row in rows]
    scored = score_all(scorer, texts, f"completions of {block[0][1]['id']} to {block[-1][1]['id']}")
    for (messages, a, b), one, other in zip(block, scored[::2], scored[1::2], strict=True):
        yield {
            "id": a["id"],
            "sample": a["sample"],
            "decoding": a["decoding"],
            "prompt": [message._asdict() for message in messages],
            "a": a["completion"],
            "b": b["completion"],
            "a_score": one.score,
            "b_score": other.score,
            "win": (one.score > other.score) + 0.5 * (one.score == other.score),
            "a_truncated": a["truncated"],
            "b_truncated": b["truncated"],
            "a_tokens": a["tokens"],
            "b_tokens": b["tokens"],
            "judge_truncated": one.is_truncated or other.is_truncated,
        }


def summarize_duel(rows: Sequence[Row]) -> dict[str, Any]:
    """Of the greedy completions and of the samples, where there are any: how often A wins, and by how much."""
    parts = {decoding: [row for row in rows if row["decoding"] == decoding] for decoding in ("greedy", "sampled")}
    return {decoding: win_rate(part) for decoding, part in parts.items() if part}


def win_rate(rows: Sequence[Row]) -> dict[str, Any]:
    """`win_rate` counts ties half; both intervals are of 95 % and clustered by prompt."""
    prompts = [row["id"] for row in rows]
    wins = clustered_mean([row["win"] for row in rows], prompts)
    gains = clustered_mean([row["a_score"] - row["b_score"] for row in rows], prompts)
    return {
        "win_rate": wins.value,
        "ci95": [*share_interval(wins, len(rows))],
        "n": len(rows),
        "prompts": wins.prompts,
        "ties": sum(row["win"] == 0.5 for row in rows),
        "difference": gains.value,
        "difference_ci95": [*t_interval(gains)],
        **{f"{side}_score": fmean(row[f"{side}_score"] for row in rows) for side in "ab"},
        **{f"{side}_tokens": fmean(row[f"{side}_tokens"] for row in rows) for side in "ab"},
        **{f"{side}_truncated": fmean(row[f"{side}_truncated"] for row in rows) for side in "ab"},
        "judge_truncated": fmean(row["judge_truncated"] for row in rows),
    }
