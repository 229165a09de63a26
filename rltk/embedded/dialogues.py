"""Short helpful and harmless dialogues, generated, with a gold reward: the data set `embedded/dialogues`.

A user tells two facts and asks for one, asks for a short list, or asks for help with some harm
(`rltk.embedded.dialogue_requests`). A reply is right, wrong, evasive or refusing; courteous or rude; to the point or
padded; short or long (`rltk.embedded.dialogue_replies`). Its true worth is `rltk.embedded.gold.gold_reward`, a function
of the text alone, so it is known for any other reply too. Of two replies the one with the higher gold reward is chosen;
with noise, a label is then flipped with that probability. The pairs of one seed are the same at every level of noise,
and only labels differ.
"""

from typing import NamedTuple

from rltk.data.transcripts import Messages
from rltk.embedded.dialogue_replies import draw_reply
from rltk.embedded.dialogue_requests import Asked, DialoguePrompt, requests
from rltk.embedded.draw import Draw, stable_hash
from rltk.embedded.gold import score

NOISE_LEVELS = (0.0, 0.1, 0.25)
MIN_GAP = 0.15
"""Least difference in gold reward between the two replies of a pair."""
GOOD = 1.0
"""Least gold reward of the best demonstrations."""


class Demonstration(NamedTuple):
    id: str
    prompt: Messages
    reply: str
    gold: float


class DialoguePair(NamedTuple):
    id: str
    prompt: Messages
    chosen: str
    rejected: str
    chosen_gold: float
    rejected_gold: float
    """The true rewards; below that of the chosen reply unless the label is flipped."""

    @property
    def is_flipped(self) -> bool:
        return self.chosen_gold < self.rejected_gold


def dialogue_prompts(split: str, size: int, *, seed: int = 0) -> list[DialoguePrompt]:
    """The first `size` different prompts of the stream; a prefix of any longer list. ValueError if there are fewer."""
    return [asked.given for asked in requests(split, size, seed)]


def demonstrations(split: str, size: int, *, seed: int = 0, best: bool = False) -> list[Demonstration]:
    """One reply to each of `dialogue_prompts`: of any worth, as the two of a pair are, or only of at least `GOOD`."""
    return [_demonstration(asked, seed, best) for asked in requests(split, size, seed)]


def dialogues(split: str, size: int, *, noise: float = 0.0, seed: int = 0) -> list[DialoguePair]:
    """One pair of replies to each of `dialogue_prompts`; `noise` is the probability that a label is flipped."""
    if not 0 <= noise < 0.5:
        raise ValueError(f"noise must be at least 0 and below 0.5, where labels say nothing, got {noise}")
    return [_pair(asked, seed, noise) for asked in requests(split, size, seed)]


def _demonstration(asked: Asked, seed: int, best: bool) -> Demonstration:
    draw = Draw(stable_hash(f"{asked.given.id}/{seed}/demonstration"))
    while True:
        reply = draw_reply(draw, asked)
        gold = score(asked.request, reply)
        if gold >= GOOD or not best:
            return Demonstration(asked.given.id, asked.given.prompt, reply, gold)


def _pair(asked: Asked, seed: int, noise: float) -> DialoguePair:
    draw = Draw(stable_hash(f"{asked.given.id}/{seed}/pair"))
    is_flipped, gap = draw.fraction() < noise, 0.0
    one, other, first, second = "", "", 0.0, 0.0
    while gap < MIN_GAP:
        one, other = draw_reply(draw, asked), draw_reply(draw, asked)
        first, second = score(asked.request, one), score(asked.request, other)
        gap = abs(first - second)
    better, worse = sorted(((first, one), (second, other)), reverse=True)
    (chosen_gold, chosen), (rejected_gold, rejected) = (worse, better) if is_flipped else (better, worse)
    return DialoguePair(asked.given.id, asked.given.prompt, chosen, rejected, chosen_gold, rejected_gold)
