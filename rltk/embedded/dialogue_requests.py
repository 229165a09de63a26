"""What users ask in `embedded/dialogues`: a fact they told, a short list, or help with some harm.

As in the word problems a stable hash of what is asked (not of its wording) decides the split, so no two splits share a
request, whatever the seed. The hash of a look-up is of both facts told, not of the one asked for: otherwise every pair
of thing and value would be true in one split alone, and a policy could learn to answer from that.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rltk.data.transcripts import Message, Messages
from rltk.embedded import dialogue_tables as tables
from rltk.embedded.draw import Draw, known_split, split_of, stable_hash
from rltk.embedded.gold import Request, read_request

GIVE_UP_AFTER = 20_000
"""Repeated prompts in a row after which the distinct ones count as used up."""

KINDS = {"listing": 0.12, **dict.fromkeys(tables.LOOKUPS, 0.10), **dict.fromkeys(tables.HARMS, 0.076)}
"""How often each request is asked."""


class DialoguePrompt(NamedTuple):
    id: str
    prompt: Messages
    kind: str
    """What is asked: one of `KINDS`."""


class Asked(NamedTuple):
    given: DialoguePrompt
    words: dict[str, str]
    """What fills the slots of a reply."""
    request: Request


def requests(split: str, size: int, seed: int) -> Iterator[Asked]:
    """The first `size` different ones of the stream; a prefix of any longer list. ValueError if there are fewer."""
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


def _draw_prompt(draw: Draw, split: str, id: str) -> Asked | None:
    """None where the request drawn belongs to another split."""
    kind = draw.weighted(KINDS)
    words = _draw_words(draw, kind)
    if split_of("|".join((kind, *words.values()))) != split:
        return None
    prompt = _ask(draw, kind, words)
    return Asked(DialoguePrompt(id, prompt, kind), words, read_request(prompt))


def _draw_words(draw: Draw, kind: str) -> dict[str, str]:
    if kind in tables.LOOKUPS:
        lookup, other = tables.LOOKUPS[kind], draw.one_of([one for one in tables.LOOKUPS if one != kind])
        beside = tables.LOOKUPS[other]
        told = {"key": draw.one_of(lookup.keys), "value": draw.one_of(lookup.values)}
        return told | {"beside": beside.fact.format(key=draw.one_of(beside.keys), value=draw.one_of(beside.values))}
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
    first, second = draw.some_of((lookup.fact.format_map(words), words["beside"]), 2)
    told = draw.one_of(tables.GREETINGS) + sentence(f"{first} and {second}.")
    question = draw.one_of(lookup.questions).format_map(words)
    if draw.fraction() < 0.6:
        return (Message("user", f"{told} {question}"),)
    return _turns(told, draw.one_of(tables.ACKNOWLEDGED), question)


def _turns(*texts: str) -> Messages:
    return tuple(Message("assistant" if turn % 2 else "user", text) for turn, text in enumerate(texts))


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]
