import re
from collections import Counter
from hashlib import blake2b
from itertools import islice, pairwise

import pytest

from rltk.embedded import templates
from rltk.embedded import word_problems as module
from rltk.embedded.draw import SPLITS
from rltk.embedded.word_problems import LEVELS, WordProblem, stream, word_problems

STEP_TABLES = (templates.STEPS, templates.FOOD_STEPS)
STEP_IDS = {
    f"{before}{operator}{after}.{name}"
    for tables in STEP_TABLES
    for (before, operator, after), table in tables.items()
    for name in table
}
OTHER_IDS = {
    *(f"open.{kind}.{name}" for kind, table in templates.OPENINGS.items() for name in table),
    *(f"ask.{kind}.{name}" for kind, table in templates.CLOSINGS.items() for name in table),
    *(f"aside.{name}" for name in templates.DISTRACTORS | templates.PLAIN_DISTRACTORS),
}
NUMBER_OF = {
    **{word: number for number, word in enumerate(templates.NUMBER_WORDS) if number >= 2},
    **{word.split()[-1]: number for word, number in templates.FIXED.values()},
    **{part.split()[-1]: number for number, part in templates.PARTS.items()},
    "twice": 2,
}
NUMBER = re.compile(rf"\d+|\b(?:{'|'.join(NUMBER_OF)})\b")
WORKED_LINE = re.compile(r"[A-Z][\w, ]* (\d+) ([-+*/]) (\d+) = (\d+) [a-z ]+\.")
DIGESTS = {"train": "232f2adc10748dfb", "validation": "3cec5f4c33e0956f", "test": "64f97eaa20fa4917"}


@pytest.fixture(scope="module")
def problems() -> list[WordProblem]:
    return word_problems("train", 20_000, levels=LEVELS)


def numbers_read_in(text: str) -> tuple[int, ...]:
    return tuple(int(found) if found.isdigit() else NUMBER_OF[found] for found in NUMBER.findall(text))


def plan_of(problem: WordProblem) -> tuple[str, tuple[int, ...]]:
    return problem.structure, problem.numbers


def test_splits_share_nothing_whatever_the_seed():
    questions, plans = {}, {}
    for split in SPLITS:
        drawn = [p for seed in (0, 1, 2**40) for p in word_problems(split, 3_000, seed=seed, levels=(1, 2))]
        questions[split] = {p.question for p in drawn}
        plans[split] = {plan_of(p) for p in drawn}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not questions[one] & questions[other]
        assert not plans[one] & plans[other]


def test_seeds_change_the_problems():
    first, second = ({p.question for p in word_problems("test", 200, seed=seed)} for seed in (0, 1))
    assert len(first & second) < 5


def test_fewer_are_a_prefix_of_more():
    assert word_problems("validation", 50, seed=3) == word_problems("validation", 100, seed=3)[:50]
    assert word_problems("train", 0) == []


def test_a_call_repeats_no_problem(problems: list[WordProblem]):
    assert len({p.id for p in problems}) == len({p.question for p in problems}) == len(set(map(plan_of, problems)))
    assert len(problems) == 20_000


def test_stream_goes_on_where_the_list_ends():
    listed = word_problems("test", 30, seed=5)
    drawn = list(islice(stream("test", seed=5), 200))
    assert [p for p in drawn if p in listed] == listed


@pytest.mark.parametrize("split", SPLITS)
def test_same_problems_on_every_machine(split: str):
    told = "\n".join(f"{p.id}\n{p.question}\n{p.solution}" for p in word_problems(split, 200, levels=LEVELS))
    assert blake2b(told.encode(), digest_size=8).hexdigest() == DIGESTS[split]


def test_worked_lines_are_right_and_lead_to_the_answer(problems: list[WordProblem]):
    for problem in problems:
        *lines, last = problem.solution.split("\n")
        results = []
        for line, step in zip(lines, problem.steps, strict=True):
            found = WORKED_LINE.fullmatch(line)
            assert found, line
            left, operator, right, result = int(found[1]), found[2], int(found[3]), int(found[4])
            assert (left, operator, right, result) == step[:4]
            worth = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[operator]
            assert worth == result, line
            results.append(result)
        assert last == f"#### {problem.answer}" == f"#### {results[-1]}"
        assert all(before.result == after.left for before, after in pairwise(problem.steps))
        assert problem.level == len(lines)


def test_quantities_stay_in_bounds(problems: list[WordProblem]):
    for step in (step for problem in problems for step in problem.steps):
        assert 2 <= step.left <= 200 and 2 <= step.result <= 200
        assert 2 <= step.right <= (60 if step.operator in "+-" else 6)
        assert step.operator != "*" or step.result <= 120


def test_question_holds_exactly_its_numbers(problems: list[WordProblem]):
    for problem in problems:
        assert numbers_read_in(problem.question) == problem.numbers, problem.question
        used = Counter([problem.steps[0].left, *(step.right for step in problem.steps)])
        unused = Counter(problem.numbers) - used
        assert not used - Counter(problem.numbers)
        assert unused.total() == problem.structure.count("aside.")


def test_levels_operators_and_distractors_are_mixed(problems: list[WordProblem]):
    levels = Counter(p.level for p in problems)
    operators = Counter(step.operator for p in problems for step in p.steps)
    assert min(levels.values()) > 0.9 * max(levels.values())
    assert min(operators.values()) > 0.6 * max(operators.values())
    assert 0.12 < sum("aside." in p.structure for p in problems) / len(problems) < 0.18
    assert sum(p.answer < 12 for p in problems) < 0.15 * len(problems)


def test_every_template_is_used(problems: list[WordProblem]):
    assert len(STEP_IDS) >= 60
    used = Counter(id for p in problems for id in p.structure.split())
    assert used.keys() == STEP_IDS | OTHER_IDS
    assert min(used.values()) >= 20


def test_every_state_has_a_step_with_a_free_operand():
    fixed = tuple(f"{{{slot}}}" for slot in templates.FIXED)
    free = {
        (before, operator)
        for (before, operator, _), table in templates.STEPS.items()
        if any(not any(slot in text for slot in fixed) for text in table.values())
    }
    assert free == {(kind, operator) for kind in (*templates.CLOSINGS, "pack") for operator in "+-*/"}


def test_vocabulary_is_wide_and_unambiguous():
    assert len({name for name, _ in templates.NAMES}) == len(templates.NAMES) >= 30
    assert len({*templates.FOODS, *templates.GOODS}) >= 40


def test_sentences_are_well_formed(problems: list[WordProblem]):
    for problem in problems:
        assert not re.search(r"[{}]|  |\b[01] |\b(zero|one) [a-z]+s\b|\b(\w+) \2\b", problem.question), problem.question
        assert re.fullmatch(r"([A-Z][^.?]*[a-z0-9][.?] ?)+", problem.question), problem.question
        assert max(len(re.findall("[A-Za-z]+", step.line)) for step in problem.steps) <= 8


def test_pronouns_agree_with_the_people(problems: list[WordProblem]):
    pronouns_of = dict(templates.NAMES)
    for problem in problems:
        words = set(re.findall(r"\w+", problem.question))
        people = {pronouns_of[word] for word in words if word in pronouns_of}
        if people == {templates.SHE}:
            assert not words & {"he", "He", "his"}
        if people == {templates.HE}:
            assert not words & {"she", "She", "her"}


@pytest.mark.parametrize(
    ("split", "count", "levels", "message"),
    [
        ("dev", 1, (1,), "split must be one of train, validation, test, got 'dev'"),
        ("train", -1, (1,), "count must be 0 or more, got -1"),
        ("train", 1, (), r"levels must name one or more of 1, 2, 3, 4, 5, got \(\)"),
        ("train", 1, (1, 6), r"levels must name one or more of 1, 2, 3, 4, 5, got \(1, 6\)"),
    ],
)
def test_bad_input_is_named(split: str, count: int, levels: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match=message):
        word_problems(split, count, levels=levels)


def test_asking_for_more_than_there_are_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 1)
    with pytest.raises(ValueError, match=r"count \(20000\) is more than the distinct problems of split 'test'"):
        word_problems("test", 20_000, levels=(1,))
