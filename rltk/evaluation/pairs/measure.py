"""Scores preference pairs with a reward model, block by block, so that what is scored survives the process."""

from collections.abc import Callable, Sequence

import torch
from rltk_reward_models.conversations import Scored
from rltk_reward_models.scorer import Scorer

from rltk.data.preference_text import preference_text
from rltk.data.preferences import Preference
from rltk.data.transcripts import Plain
from rltk.errors import UserError
from rltk.evaluation.items import Items, Row
from rltk.evaluation.pairs.rows import make_row
from rltk.evaluation.pairs.target import RewardTarget
from rltk.evaluation.pairs.tasks import PairTask

BLOCK = 256
"""Pairs, of replies or of two policies' completions, that are scored, and kept, together."""
Report = Callable[[int, int], None]


def load_scorer(target: RewardTarget) -> Scorer:
    """The reward model, in float32; UserError where its folder is not whole."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return Scorer.load(target.folder, base=target.base, trust_remote_code=target.trusts_remote_code, device=device)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def score_task(scorer: Scorer, task: PairTask, *, plain: Plain, items: Items, report: Report) -> list[Row]:
    """A row a pair; pairs that `items` holds already, in whole blocks, are not scored again."""
    kept = count_kept(task, items)
    items.keep(kept)
    report(kept, len(task.pairs))
    for start in range(kept, len(task.pairs), BLOCK):
        items.add(score_pairs(scorer, task.pairs[start : start + BLOCK], plain))
        report(min(start + BLOCK, len(task.pairs)), len(task.pairs))
    return items.rows


def score_pairs(scorer: Scorer, pairs: Sequence[Preference], plain: Plain) -> list[Row]:
    texts = [preference_text(pair, scorer.tokenizer, plain=plain) for pair in pairs]
    both = [text.prompt + reply for text in texts for reply in (text.chosen, text.rejected)]
    found = score_all(scorer, both, f"pairs {pairs[0].id} to {pairs[-1].id}")
    return [
        make_row(pair, (chosen.score, rejected.score), is_truncated=chosen.is_truncated or rejected.is_truncated)
        for pair, chosen, rejected in zip(pairs, found[::2], found[1::2], strict=True)
    ]


def score_all(scorer: Scorer, texts: Sequence[str], what: str) -> list[Scored]:
    """UserError says that `what` has no score, and why."""
    try:
        return list(scorer.scores(texts))
    except ValueError as error:
        raise UserError(f"{what} could not be scored: {error}.") from error


def count_kept(task: PairTask, items: Items) -> int:
    """How many of the first pairs `items` holds in whole blocks; rows of other pairs are refused."""
    found, expected = [row["id"] for row in items.rows], [pair.id for pair in task.pairs]
    if found != expected[: len(found)]:
        raise UserError(f"{items.path} does not hold the pairs of {task.name} in order; evaluate anew elsewhere.")
    return in_whole_blocks(len(found), of=len(expected))


def in_whole_blocks(kept: int, *, of: int) -> int:
    """How many of the rows that are kept stand in whole blocks; the last of all may be shorter."""
    return kept if kept == of else kept // BLOCK * BLOCK
