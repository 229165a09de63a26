"""Short helpful and harmless dialogues, generated, with a gold reward: the data set `embedded/dialogues`.

A user tells two facts and asks for one, asks for a short list, or asks for help with some harm. A reply is drawn
feature by feature: right, wrong, evasive, refusing; courteous or rude; to the point or padded; short or long. Its true
worth is `rltk.embedded.gold.gold_reward`, a function of the text alone, so it is known for any other reply too. Of two
replies the one with the higher gold reward is chosen; with noise, a label is then flipped with that probability.

As in the word problems a stable hash of what is asked (not of its wording) decides the split, so no two splits share a
request, whatever the seed. The pairs of one seed are the same at every level of noise, and only labels differ.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rltk.data.transcripts import Message, Messages
from rltk.embedded import dialogue_tables as tables
from rltk.embedded.draw import Draw, known_split, split_of, stable_hash
from rltk.embedded.gold import Harm, Request, read_request, score

NOISE_LEVELS = (0.0, 0.1, 0.25)
MIN_GAP = 0.15
"""Least difference in gold reward between the two replies of a pair."""
GOOD = 1.0
"""Least gold reward of the best demonstrations."""
GIVE_UP_AFTER = 20_000
"""Repeated prompts in a row after which the distinct ones count as used up."""

KINDS = {"listing": 0.12, **dict.fromkeys(tables.LOOKUPS, 0.10), **dict.fromkeys(tables.HARMS, 0.076)}
"""How often each request is asked."""
HELPFUL = {"right": 0.3, "wrong": 0.25, "several": 0.2, "evasive": 0.15, "refuse": 0.1}
HARMLESS = {"refuse and redirect": 0.12, "refuse": 0.22, "redirect": 0.2, "comply": 0.3, "evasive": 0.16}
OPENINGS = {"none": 0.55, "courteous": 0.3, "rude": 0.15}
ENDINGS = {"none": 0.5, "courteous": 0.15, "padded": 0.35}
"""How often a reply says what, and what stands before and after it. So drawn, longer replies are no better (a test
measures it), and the best reply is about 1.5 standard deviations above the mean: there is something to learn."""


class DialoguePrompt(NamedTuple):
    id: str
    prompt: Messages
    kind: str
    """What is asked: one of `KINDS`."""


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
    return [asked.given for asked in _distinct(split, size, seed)]


def demonstrations(split: str, size: int, *, seed: int = 0, best: bool = False) -> list[Demonstration]:
    """One reply to each of `dialogue_prompts`: of any worth, as the two of a pair are, or only of at least `GOOD`."""
    return [_demonstration(asked, seed, best) for asked in _distinct(split, size, seed)]


def dialogues(split: str, size: int, *, noise: float = 0.0, seed: int = 0) -> list[DialoguePair]:
    """One pair of replies to each of `dialogue_prompts`; `noise` is the probability that a label is flipped."""
    if not 0 <= noise < 0.5:
        raise ValueError(f"noise must be at least 0 and below 0.5, where labels say nothing, got {noise}")
    return [_pair(asked, seed, noise) for asked in _distinct(split, size, seed)]


class _Asked(NamedTuple):
    given: DialoguePrompt
    words: dict[str, str]
    """What fills the slots of a reply."""
    request: Request


def _distinct(split: str, size: int, seed: int) -> Iterator[_Asked]:
    if size < 0:
        raise ValueError(f"size must be 0 or more, got {size}")
    draw, seen, repeats = Draw(stable_hash(f"dialogues/{known_split(split)}/{seed}")), set[Messages](), 0
    while len(seen) < size:
        asked = _draw_prompt(draw, split, f"{split}/{seed}/{len(seen)}")
        repeats = repeats + 1 if asked is not None and asked.given.prompt in seen else 0
        if repeats == GIVE_UP_AFTER:
            raise ValueError(f"size ({size}) is more than the prompts of split {split!r}: found {len(seen)}")
        if asked is not None and asked.given.prompt not in seen:
            seen.add(asked.given.prompt)
            yield asked


def _draw_prompt(draw: Draw, split: str, id: str) -> _Asked | None:
    """None where the request drawn belongs to another split."""
    kind = draw.weighted(KINDS)
    words = _draw_words(draw, kind)
    if split_of("|".join((kind, *words.values()))) != split:
        return None
    prompt = _ask(draw, kind, words)
    return _Asked(DialoguePrompt(id, prompt, kind), words, read_request(prompt))


def _draw_words(draw: Draw, kind: str) -> dict[str, str]:
    if kind in tables.LOOKUPS:
        lookup = tables.LOOKUPS[kind]
        (key, other), (value, rival) = draw.some_of(lookup.keys, 2), draw.some_of(lookup.values, 2)
        return {"key": key, "value": value, "other": other, "rival": rival}
    name = draw.one_of(tables.NAME)
    if kind == "listing":
        category, count = draw.one_of(list(tables.CATEGORIES)), draw.one_of(list(tables.COUNTS))
        return {"name": name, "category": category, "count": count}
    return {"name": name, "things": draw.one_of(tables.THINGS)}


def _ask(draw: Draw, kind: str, words: dict[str, str]) -> Messages:
    if kind in tables.LOOKUPS:
        return _ask_lookup(draw, tables.LOOKUPS[kind], words)
    texts = tables.LISTINGS if kind == "listing" else tables.HARMS[kind].requests
    request = draw.one_of(texts).format_map(words)
    if draw.fraction() < 0.7:
        return (Message("user", draw.one_of(tables.GREETINGS) + request),)
    hello, answer = draw.one_of(tables.INTRODUCTIONS)
    name = draw.one_of(tables.NAME)
    return _turns(hello.format(name=name), answer.format(name=name), request)


def _ask_lookup(draw: Draw, lookup: tables.Lookup, words: dict[str, str]) -> Messages:
    pairs = [(words["key"], words["value"]), (words["other"], words["rival"])]
    facts = [lookup.fact.format(key=key, value=value) for key, value in draw.some_of(pairs, 2)]
    told = draw.one_of(tables.GREETINGS) + _sentence(f"{facts[0]} and {facts[1]}.")
    question = draw.one_of(lookup.questions).format_map(words)
    if draw.fraction() < 0.6:
        return (Message("user", f"{told} {question}"),)
    return _turns(told, draw.one_of(tables.ACKNOWLEDGED), question)


def _turns(*texts: str) -> Messages:
    return tuple(Message("assistant" if turn % 2 else "user", text) for turn, text in enumerate(texts))


def _demonstration(asked: _Asked, seed: int, best: bool) -> Demonstration:
    draw = Draw(stable_hash(f"{asked.given.id}/{seed}/demonstration"))
    while True:
        reply = _draw_reply(draw, asked)
        gold = score(asked.request, reply)
        if gold >= GOOD or not best:
            return Demonstration(asked.given.id, asked.given.prompt, reply, gold)


def _pair(asked: _Asked, seed: int, noise: float) -> DialoguePair:
    draw = Draw(stable_hash(f"{asked.given.id}/{seed}/pair"))
    is_flipped, gap = draw.fraction() < noise, 0.0
    one, other, first, second = "", "", 0.0, 0.0
    while gap < MIN_GAP:
        one, other = _draw_reply(draw, asked), _draw_reply(draw, asked)
        first, second = score(asked.request, one), score(asked.request, other)
        gap = abs(first - second)
    better, worse = sorted(((first, one), (second, other)), reverse=True)
    (chosen_gold, chosen), (rejected_gold, rejected) = (worse, better) if is_flipped else (better, worse)
    return DialoguePair(asked.given.id, asked.given.prompt, chosen, rejected, chosen_gold, rejected_gold)


def _draw_reply(draw: Draw, asked: _Asked) -> str:
    is_harm = isinstance(asked.request, Harm)
    side = "harmless" if is_harm else "helpful"
    openings = {"none": ("",), "courteous": tables.COURTESIES[side], "rude": tables.INSULTS}
    endings = {"none": ("",), "courteous": tables.CLOSINGS, "padded": tables.FILLERS}
    opening = draw.one_of(openings[draw.weighted(OPENINGS)])
    body = _harm_body(draw, asked) if is_harm else _helpful_body(draw, asked)
    ending = draw.one_of(endings[draw.weighted(ENDINGS)])
    return " ".join(part for part in (opening, body, ending) if part)


def _harm_body(draw: Draw, asked: _Asked) -> str:
    harm, content = tables.HARMS[asked.given.kind], draw.weighted(HARMLESS)
    texts = {
        "evasive": (tables.EVASIONS,),
        "comply": (harm.complies,),
        "refuse": (tables.REFUSALS,),
        "redirect": (harm.redirects,),
        "refuse and redirect": (tables.REFUSALS, harm.redirects),
    }[content]
    return " ".join(draw.one_of(text).format_map(asked.words) for text in texts)


def _helpful_body(draw: Draw, asked: _Asked) -> str:
    content = draw.weighted(HELPFUL)
    if content in ("evasive", "refuse"):
        return draw.one_of(tables.EVASIONS if content == "evasive" else tables.REFUSALS[:1])
    if asked.given.kind == "listing":
        items = _draw_items(draw, asked.words, content)
        text = draw.one_of(tables.LISTS)
        return _sentence(text.format(items=_enumerate(items), name=asked.words["name"]))
    lookup, words = tables.LOOKUPS[asked.given.kind], asked.words
    wrong = words["rival"] if draw.fraction() < 0.7 else draw.one_of([v for v in lookup.values if v != words["value"]])
    value = {"right": words["value"], "wrong": wrong, "several": f"{words['value']} or {wrong}"}[content]
    return _sentence(draw.one_of(lookup.answers).format(key=words["key"], value=value))


def _draw_items(draw: Draw, words: dict[str, str], content: str) -> list[str]:
    """As many of the category as asked for, or more, or of another category."""
    count, category = tables.COUNTS[words["count"]], words["category"]
    if content == "wrong":
        category = draw.one_of([other for other in tables.CATEGORIES if other != category])
    return draw.some_of(tables.CATEGORIES[category], count + (draw.between(1, 2) if content == "several" else 0))


def _enumerate(items: list[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
