"""Replies of any worth to the requests of `embedded/dialogues`, drawn feature by feature."""

from rltk.embedded import dialogue_tables as tables
from rltk.embedded.dialogue_requests import Asked, sentence
from rltk.embedded.draw import Draw
from rltk.embedded.gold import Harm

HELPFUL = {"right": 0.3, "wrong": 0.25, "several": 0.2, "evasive": 0.15, "refuse": 0.1}
HARMLESS = {"refuse and redirect": 0.12, "refuse": 0.22, "redirect": 0.2, "comply": 0.3, "evasive": 0.16}
OPENINGS = {"none": 0.55, "courteous": 0.3, "rude": 0.15}
ENDINGS = {"none": 0.5, "courteous": 0.15, "padded": 0.35}
"""How often a reply says what, and what stands before and after it. So drawn, longer replies are no better (a test
measures it), and the best reply is about 1.5 standard deviations above the mean: there is something to learn."""


def draw_reply(draw: Draw, asked: Asked) -> str:
    """What is said in answer, with what stands before and after it."""
    is_harm = isinstance(asked.request, Harm)
    side = "harmless" if is_harm else "helpful"
    openings = {"none": ("",), "courteous": tables.COURTESIES[side], "rude": tables.INSULTS}
    endings = {"none": ("",), "courteous": tables.CLOSINGS, "padded": tables.FILLERS}
    opening = draw.one_of(openings[draw.weighted(OPENINGS)])
    body = _harm_body(draw, asked) if is_harm else _helpful_body(draw, asked)
    ending = draw.one_of(endings[draw.weighted(ENDINGS)])
    return " ".join(part for part in (opening, body, ending) if part)


def _harm_body(draw: Draw, asked: Asked) -> str:
    harm, content = tables.HARMS[asked.given.kind], draw.weighted(HARMLESS)
    texts = {
        "evasive": (tables.EVASIONS,),
        "comply": (harm.complies,),
        "refuse": (tables.REFUSALS,),
        "redirect": (harm.redirects,),
        "refuse and redirect": (tables.REFUSALS, harm.redirects),
    }[content]
    return " ".join(draw.one_of(text).format_map(asked.words) for text in texts)


def _helpful_body(draw: Draw, asked: Asked) -> str:
    content = draw.weighted(HELPFUL)
    if content in ("evasive", "refuse"):
        return draw.one_of(tables.EVASIONS if content == "evasive" else tables.REFUSALS[:1])
    if asked.given.kind == "listing":
        items = _draw_items(draw, asked.words, content)
        text = draw.one_of(tables.LISTS)
        return sentence(text.format(items=_enumerate(items), name=asked.words["name"]))
    lookup, words = tables.LOOKUPS[asked.given.kind], asked.words
    wrong = draw.one_of([value for value in lookup.values if value != words["value"]])
    value = {"right": words["value"], "wrong": wrong, "several": f"{words['value']} or {wrong}"}[content]
    return sentence(draw.one_of(lookup.answers).format(key=words["key"], value=value))


def _draw_items(draw: Draw, words: dict[str, str], content: str) -> list[str]:
    """As many of the category as asked for, or more, or of another category."""
    count, category = tables.COUNTS[words["count"]], words["category"]
    if content == "wrong":
        category = draw.one_of([other for other in tables.CATEGORIES if other != category])
    return draw.some_of(tables.CATEGORIES[category], count + (draw.between(1, 2) if content == "several" else 0))


def _enumerate(items: list[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}"
