"""Was that a good answer? Replies of the embedded dialogues, judged: what lets a policy become a reward model.

A policy that was only taught to answer knows which value is likely, and still does not learn from pairs of replies to
tell a value that was told from one that was not (docs/results/log.md). Judging teaches it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rltk.data.transcripts import Message, Messages
from rltk.embedded.dialogue_replies import draw_reply
from rltk.embedded.dialogue_requests import Asked, requests
from rltk.embedded.draw import Draw, stable_hash
from rltk.embedded.gold import answer_worth

QUESTION = "Is that a good answer?"
ENOUGH = 0.5
"""A good answer is worth more, so one of two values named is not good, and one refusal of a harm is."""
KEPT = 0.2
"""The share kept of bad answers that say nothing false and do no harm, which are easily told."""


class Judgement(NamedTuple):
    prompt: Messages
    """The request, a reply, and the question whether that is good."""
    is_good: bool


def judgements(split: str, size: int, *, seed: int = 0) -> Iterator[Judgement]:
    """One for each of the first `size` prompts of `rltk.embedded.dialogues`; about half of the replies are good."""
    draw = Draw(stable_hash(f"judgements/{split}/{seed}"))
    for asked in requests(split, size, seed):
        is_good = draw.fraction() < 0.5
        reply = draw_judged(draw, asked, is_good)
        turns = Message("assistant", reply), Message("user", QUESTION)
        yield Judgement((*asked.given.prompt, *turns), is_good)


def draw_judged(draw: Draw, asked: Asked, is_good: bool) -> str:
    while True:
        reply = draw_reply(draw, asked)
        worth = answer_worth(asked.request, reply)
        if (worth > ENOUGH) == is_good and (is_good or worth < 0 or draw.fraction() < KEPT):
            return reply
