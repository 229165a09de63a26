"""Grade-school word problems in GSM8K's form, generated: the data set `embedded/word-problems`.

A problem is a plan and a wording. The plan is the structure (the ids of its sentence templates, in order) and the
numbers; the wording adds names, things and turns of phrase. A stable hash of the plan alone decides which split a
problem belongs to, and a plan is drawn again until it falls into the split that was asked for. So no two splits can
share a problem, or a (structure, numbers) pair in another wording, whatever the seed and however many are drawn.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rltk.embedded import templates
from rltk.embedded.draw import Draw, known_split, split_of, stable_hash

LEVELS = (1, 2, 3, 4, 5)

SMALLEST, LARGEST = 2, 200
"""Bounds of the running quantity."""
LARGEST_OPERAND = 60
"""Most that one step adds or subtracts; the least is SMALLEST."""
LARGEST_FACTOR = 6
"""Largest multiplier and divisor."""
LARGEST_PRODUCT = 120
GROWS_BELOW = 12
"""A running quantity below this is only added to or multiplied, or small answers would prevail."""

DISTRACTED = 0.15
"""Share of problems with a sentence whose number plays no part."""
SPELLED = 0.1
"""Share of the numbers up to twelve that are written in words."""
FOOD = 0.4
"""Share of problems about food, which can be eaten or go bad."""
PRONOUNS = 0.6
"""Share of "he" and "she" where a name would do as well."""
LINKS = ("", "", "", "Then ", "Later, ", "After that, ")
PLAIN_LINES = 0.3
"""Share of worked lines that say "That makes" rather than who has it."""
GIVE_UP_AFTER = 20_000
"""Repeated draws in a row after which the distinct problems count as used up."""


class Step(NamedTuple):
    left: int
    operator: str
    right: int
    result: int
    line: str
    """The step as the worked solution shows it."""


@dataclass(frozen=True)
class WordProblem:
    id: str
    question: str
    steps: tuple[Step, ...]
    level: int
    """How many steps the solution takes."""
    structure: str
    """Template ids in order; no names, things or numbers."""
    numbers: tuple[int, ...]
    """Every number of the question in order, in digits or in words; "half" is 2, "a dozen" 12."""

    @property
    def answer(self) -> int:
        return self.steps[-1].result

    @property
    def solution(self) -> str:
        return "\n".join([*(step.line for step in self.steps), f"#### {self.answer}"])


def word_problems(split: str, count: int, *, seed: int = 0, levels: Sequence[int] = (1, 2, 3)) -> list[WordProblem]:
    """The first `count` problems of the stream whose (structure, numbers) differ; a prefix of any longer list."""
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    problems: dict[tuple[str, tuple[int, ...]], WordProblem] = {}
    repeats = 0
    draws = stream(split, seed=seed, levels=levels)
    while len(problems) < count:
        problem = next(draws)
        known = len(problems)
        problems.setdefault((problem.structure, problem.numbers), problem)
        repeats = repeats + 1 if len(problems) == known else 0
        if repeats == GIVE_UP_AFTER:
            raise ValueError(
                f"count ({count}) is more than the distinct problems of split {split!r} at levels {tuple(levels)}: "
                f"found {known}; ask for fewer, or for more levels"
            )
    return list(problems.values())


def stream(split: str, *, seed: int = 0, levels: Sequence[int] = (1, 2, 3)) -> Iterator[WordProblem]:
    """Problems of one split without end, each level of `levels` equally often; after many, some repeat."""
    if not levels or not set(levels) <= set(LEVELS):
        raise ValueError(f"levels must name one or more of {', '.join(map(str, LEVELS))}, got {tuple(levels)}")
    return _draw_problems(known_split(split), seed, tuple(levels))


def _draw_problems(split: str, seed: int, levels: tuple[int, ...]) -> Iterator[WordProblem]:
    draw = Draw(stable_hash(f"{split}/{seed}/{levels}"))
    index = 0
    while True:
        plan = _draw_plan(draw, draw.one_of(levels))
        if split_of(f"{plan.structure}|{plan.numbers}") == split:
            yield _Narrator(draw, plan).tell(f"{split}/{seed}/{index}")
            index += 1


class _Template(NamedTuple):
    id: str
    text: str
    before: str
    operator: str
    after: str
    operand: int | None
    """The operand where the words fix it ("doubles")."""


class _Distractor(NamedTuple):
    id: str
    text: str
    low: int
    high: int


class _Aside(NamedTuple):
    distractor: _Distractor
    number: int
    after: int
    """It follows the opening (0) or this many steps."""


class _Plan(NamedTuple):
    opening: _Template
    start: int
    steps: list[tuple[_Template, int]]
    aside: _Aside | None
    closing: _Template
    food: bool
    structure: str
    numbers: tuple[int, ...]


def _step_template(before: str, operator: str, after: str, name: str, text: str) -> _Template:
    fixed = [operand for slot, (_, operand) in templates.FIXED.items() if f"{{{slot}}}" in text]
    return _Template(f"{before}{operator}{after}.{name}", text, before, operator, after, fixed[0] if fixed else None)


def _flat(tables: dict[tuple[str, str, str], dict[str, str]]) -> list[_Template]:
    return [_step_template(*key, name, text) for key, table in tables.items() for name, text in table.items()]


def _group(steps: list[_Template]) -> dict[tuple[str, str], list[_Template]]:
    groups: dict[tuple[str, str], list[_Template]] = {}
    for step in steps:
        groups.setdefault((step.before, step.operator), []).append(step)
    return groups


_OPENINGS = [
    _Template(f"open.{kind}.{name}", text, "", "", kind, None)
    for kind, table in templates.OPENINGS.items()
    for name, text in table.items()
]
_CLOSINGS = {
    kind: [_Template(f"ask.{kind}.{name}", text, kind, "", "", None) for name, text in table.items()]
    for kind, table in templates.CLOSINGS.items()
}
_STEPS = _flat(templates.STEPS)
_FOOD_STEPS = _flat(templates.FOOD_STEPS)
_STEPS_FOR = {False: _group(_STEPS), True: _group(_STEPS + _FOOD_STEPS)}
_PLAIN_DISTRACTORS = [_Distractor(f"aside.{name}", *aside) for name, aside in templates.PLAIN_DISTRACTORS.items()]
_DISTRACTORS = [
    *_PLAIN_DISTRACTORS,
    *(_Distractor(f"aside.{name}", *aside) for name, aside in templates.DISTRACTORS.items()),
]

_LINKABLE = re.compile(r"{who} (?!{has})")
_FIXED_WORDS = {slot: word for slot, (word, _) in templates.FIXED.items()}
_FOOD_PLACES = tuple(templates.FOOD_PLACES.items())
_GOODS_PLACES = tuple(templates.GOODS_PLACES.items())
_PLAIN_LEADS = {"+": "That makes", "-": "That is", "*": "That makes", "/": "That is"}

_OPERATORS = ("+", "-", "*", "/")
_GROWING = ("+", "*")
_FACTORS = range(2, LARGEST_FACTOR + 1)
_DIVISORS = [[d for d in _FACTORS if q % d == 0 and q // d >= SMALLEST] for q in range(LARGEST + 1)]


def _draw_plan(draw: Draw, level: int) -> _Plan:
    opening = draw.one_of(_OPENINGS)
    food = draw.fraction() < FOOD
    operator = draw.one_of(_OPERATORS)
    start = quantity = _draw_start(draw, operator)
    kinds = [opening.after]
    steps: list[tuple[_Template, int]] = []
    for _ in range(level):
        while not (operands := _operands(operator, quantity)):
            operator = draw.one_of(_GROWING if quantity < GROWS_BELOW else _OPERATORS)
        step = _draw_step(draw, _STEPS_FOR[food][kinds[-1], operator], operands, [step for step, _ in steps])
        operand = step.operand or draw.one_of(operands)
        steps.append((step, operand))
        quantity = _apply(operator, quantity, operand)
        kinds.append(_kind_after(step))
        operator = draw.one_of(_GROWING if quantity < GROWS_BELOW else _OPERATORS)
    closing = draw.one_of(_CLOSINGS[kinds[-1]])
    aside = _draw_aside(draw, kinds[:-1]) if draw.fraction() < DISTRACTED else None

    ids = [opening.id, *(step.id for step, _ in steps), closing.id]
    numbers = [start, *(operand for _, operand in steps)]
    if aside:
        ids.insert(aside.after + 1, aside.distractor.id)
        numbers.insert(aside.after + 1, aside.number)
    return _Plan(opening, start, steps, aside, closing, food, " ".join(ids), tuple(numbers))


def _draw_step(
    draw: Draw, choices: Sequence[_Template], operands: Sequence[int], told: Sequence[_Template]
) -> _Template:
    """One of the templates whose words allow the operands, and if that can be had soon, not one told before."""
    patience = 4
    while True:
        step = draw.one_of(choices)
        patience -= step in told
        if (step.operand is None or step.operand in operands) and (step not in told or patience < 0):
            return step


def _draw_aside(draw: Draw, kinds: Sequence[str]) -> _Aside:
    after = draw.between(0, len(kinds) - 1)
    distractor = draw.one_of(_DISTRACTORS if kinds[after] in ("own", "money", "day") else _PLAIN_DISTRACTORS)
    return _Aside(distractor, draw.between(distractor.low, distractor.high), after)


def _draw_start(draw: Draw, operator: str) -> int:
    """A first quantity that the first operator can work on, spread evenly over what it allows."""
    match operator:
        case "+":
            return draw.between(SMALLEST, LARGEST - LARGEST_OPERAND)
        case "-":
            return draw.between(2 * SMALLEST, LARGEST)
        case "*":
            return draw.between(SMALLEST, LARGEST_PRODUCT // draw.one_of(_FACTORS))
        case _:
            divisor = draw.one_of(_FACTORS)
            return divisor * draw.between(SMALLEST, LARGEST // divisor)


def _operands(operator: str, quantity: int) -> Sequence[int]:
    """The operands that keep every bound; empty when the operator cannot be used."""
    match operator:
        case "+":
            return range(SMALLEST, min(LARGEST_OPERAND, LARGEST - quantity) + 1)
        case "-":
            return range(SMALLEST, min(LARGEST_OPERAND, quantity - SMALLEST) + 1)
        case "*":
            return range(2, min(LARGEST_FACTOR, LARGEST_PRODUCT // quantity) + 1)
        case _:
            return _DIVISORS[quantity]


def _apply(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left // right


def _kind_after(step: _Template) -> str:
    if step.after != "other":
        return step.after
    return "money" if step.before == "money" else "own"


class _Narrator:
    """Puts one plan into words; keeps what the next sentence may refer to."""

    def __init__(self, draw: Draw, plan: _Plan):
        self.draw = draw
        self.plan = plan
        self.met: set[str] = set()
        self.day = -1
        self.nouns = {"box": draw.between(0, 99), "friend": draw.between(0, 99)}
        self.pronoun_is_clear = False
        self.words = {"shop": draw.one_of(templates.SHOPS), **_FIXED_WORDS, **self._things()}
        self._next_noun("box")
        self._follow(self._someone_new())

    def tell(self, id: str) -> WordProblem:
        plan = self.plan
        if plan.opening.after == "day":
            self._next_day()
        sentences = [self._say(plan.opening.text, plan.start)]
        steps: list[Step] = []
        quantity = plan.start
        for told, (template, operand) in enumerate(plan.steps):
            if plan.aside and plan.aside.after == told:
                sentences.append(self._say(plan.aside.distractor.text, plan.aside.number))
                self.pronoun_is_clear = False
            sentences.append(self._say_step(template, operand, is_first=told == 0))
            result = _apply(template.operator, quantity, operand)
            steps.append(self._work_out(template, quantity, operand, result))
            quantity = result
        sentences.append(self._say(plan.closing.text))
        return WordProblem(id, " ".join(sentences), tuple(steps), len(steps), plan.structure, plan.numbers)

    def _say_step(self, template: _Template, operand: int, *, is_first: bool) -> str:
        words = self.words
        if template.after == "day":
            self._next_day()
        if template.after in self.nouns and template.after != template.before:
            self._next_noun(template.after)
        words["name_now"] = words["name"] if is_first else f"{words['name']} has now"
        words["has"] = "has" if is_first else "now has"
        newcomer = self._someone_new() if "{other}" in template.text else None
        if newcomer:
            words["other"] = newcomer[0]
        link = self.draw.one_of(LINKS) if _LINKABLE.match(template.text) and not is_first else ""
        sentence = self._say(link + template.text, operand)
        if newcomer and template.after == "other":
            self._follow(newcomer)
        self.pronoun_is_clear = newcomer is None
        return sentence

    def _say(self, text: str, number: int = 0) -> str:
        """The sentence with every slot filled."""
        words = self.words
        words["who"] = words["he"] if self.pronoun_is_clear and self.draw.fraction() < PRONOUNS else words["name"]
        if number:
            spelled = number < len(templates.NUMBER_WORDS) and self.draw.fraction() < SPELLED
            words["n"] = templates.NUMBER_WORDS[number] if spelled else str(number)
            words["times"] = "twice" if number == 2 else f"{words['n']} times"
            words["part"] = templates.PARTS.get(number, "")
        sentence = text.format_map(words)
        self.pronoun_is_clear = True
        return sentence[0].upper() + sentence[1:]

    def _work_out(self, template: _Template, left: int, right: int, result: int) -> Step:
        """The step with its worked line: "Tom has 12 + 5 = 17 apples."."""
        words = self.words
        kind = _kind_after(template)
        match kind:
            case "day":
                lead = f"On {words['day']}, {words['name']} {words['does']}"
            case "place":
                lead = f"The {words['place']} has"
            case "box" | "friend":
                lead = f"Each {words[kind]} {'holds' if kind == 'box' else 'has'}"
            case _:
                lead = f"{words['name']} has"
        if self.draw.fraction() < PLAIN_LINES:
            is_change = template.before == template.after and kind != "day"
            lead = "That leaves" if template.operator == "-" and is_change else _PLAIN_LEADS[template.operator]
        unit = "dollars" if kind == "money" else words["things"]
        line = f"{lead} {left} {template.operator} {right} = {result} {unit}."
        return Step(left, template.operator, right, result, line)

    def _things(self) -> dict[str, str]:
        """The place or the daily work, and things that suit it."""
        food, pick = self.plan.food, self.draw.one_of
        match self.plan.opening.after:
            case "place":
                place, things = pick(_FOOD_PLACES if food else _GOODS_PLACES)
                return {"place": place, "things": pick(things)}
            case "day":
                does, do, things = pick(templates.FOOD_DAYS if food else templates.GOODS_DAYS)
                return {"does": does, "do": do, "things": pick(things)}
            case _:
                return {"things": pick(templates.FOODS if food else templates.GOODS)}

    def _someone_new(self) -> tuple[str, tuple[str, str]]:
        while True:
            person = self.draw.one_of(templates.NAMES)
            if person[0] not in self.met:
                self.met.add(person[0])
                return person

    def _follow(self, person: tuple[str, tuple[str, str]]) -> None:
        """Make this person the one the quantity belongs to."""
        name, (he, his) = person
        self.words.update(name=name, he=he, his=his)

    def _next_day(self) -> None:
        self.day += 1
        self.words["before"] = templates.DAYS[self.day - 1]
        self.words["day"] = templates.DAYS[self.day]

    def _next_noun(self, kind: str) -> None:
        """A new sort of box or friend, so that two splits in one problem cannot be taken for one another."""
        nouns = templates.BOXES if kind == "box" else templates.FRIENDS
        self.nouns[kind] += 1
        one, many = nouns[self.nouns[kind] % len(nouns)]
        self.words[kind] = one
        self.words["boxes" if kind == "box" else "friends"] = many
