from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from statistics import fmean, pstdev

import pytest

from rltk.embedded import dialogue_tables as tables
from rltk.embedded.dialogue_requests import KINDS
from rltk.embedded.dialogues import (
    MIN_GAP,
    NOISE_LEVELS,
    DialoguePair,
    DialoguePrompt,
    demonstrations,
    dialogue_prompts,
    dialogues,
)
from rltk.embedded.draw import SPLITS
from rltk.embedded.gold import FACT_PATTERNS, Harm, gold_reward, read_request
from tests.growth import grows_in_proportion

DIGESTS = {"train": "2ffeecb755248434", "validation": "9dbcc1ddea2aea0f", "test": "dcad5cc6c5663313"}


@pytest.fixture(scope="module")
def pairs() -> list[DialoguePair]:
    return dialogues("train", 4_000)


def test_the_gold_reward_chooses(pairs: list[DialoguePair]) -> None:
    for pair in pairs[:1_000]:
        assert pair.chosen_gold == gold_reward(pair.prompt, pair.chosen)
        assert pair.rejected_gold == gold_reward(pair.prompt, pair.rejected)
    assert min(pair.chosen_gold - pair.rejected_gold for pair in pairs) >= MIN_GAP
    assert not any(pair.is_flipped for pair in pairs)


def test_noise_flips_that_share_of_labels_and_changes_nothing_else(pairs: list[DialoguePair]) -> None:
    assert NOISE_LEVELS == (0.0, 0.1, 0.25)
    flipped = {noise: dialogues("train", 4_000, noise=noise) for noise in NOISE_LEVELS}
    assert flipped[0.0] == pairs
    for noise in NOISE_LEVELS[1:]:
        assert fmean(pair.is_flipped for pair in flipped[noise]) == pytest.approx(noise, abs=0.015)
        for pair, clean in zip(flipped[noise], pairs, strict=True):
            assert (pair.id, pair.prompt) == (clean.id, clean.prompt)
            assert tuple(pair[2:]) == (clean[3], clean[2], clean[5], clean[4]) if pair.is_flipped else pair == clean
    few, many = ({pair.id for pair in flipped[noise] if pair.is_flipped} for noise in NOISE_LEVELS[1:])
    assert few < many


@pytest.mark.parametrize("length", [len, lambda text: len(text.split())], ids=["characters", "words"])
def test_length_predicts_little(pairs: list[DialoguePair], length: Callable[[str], int]) -> None:
    """The best rule that sees length alone is right for at most 60 % of all pairs, and of each side's."""
    for wanted in (None, True, False):
        some = [pair for pair in pairs if wanted in (None, isinstance(read_request(pair.prompt), Harm))]
        assert len(some) > 1_400
        longer_wins = fmean(compare(length(pair.chosen), length(pair.rejected)) for pair in some)
        assert 0.4 < longer_wins < 0.6


def compare(one: int, other: int) -> float:
    return 0.5 if one == other else float(one > other)


def asked_for(made: DialoguePrompt) -> tuple[object, ...]:
    """The request without its wording: the facts and the one asked for, or the names, things and counts in it."""
    told = " ".join(message.content for message in made.prompt if message.role == "user").lower()
    if made.kind in tables.LOOKUPS:
        facts = {kind: pattern.search(told) for kind, pattern in FACT_PATTERNS.items()}
        assert sum(fact is not None for fact in facts.values()) == 2
        assert facts[made.kind] is not None
        return made.kind, *((kind, fact["key"], fact["value"]) for kind, fact in facts.items() if fact)
    words = {word.strip(".?") for word in made.prompt[-1].content.split()}
    slots = words & {*tables.NAME, *tables.THINGS, *tables.CATEGORIES, *tables.COUNTS}
    assert len(slots) == (3 if made.kind == "listing" else 2)
    return made.kind, frozenset(slots)


def test_splits_share_no_request_whatever_the_seed() -> None:
    asked = {}
    for split in SPLITS:
        drawn = [made for seed in (0, 2**40) for made in dialogue_prompts(split, 1_500, seed=seed)]
        asked[split] = {asked_for(made) for made in drawn}
        assert len(asked[split]) > 1_000
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not asked[one] & asked[other]


def test_a_thing_has_the_same_values_in_every_split() -> None:
    """Or a value would be known as wrong from its split alone, whatever was told."""
    values = {split: set[tuple[str, str]]() for split in SPLITS}
    for split in SPLITS:
        for made in dialogue_prompts(split, 3_000):
            if made.kind == "opens":
                fact = FACT_PATTERNS["opens"].search(made.prompt[0].content.lower())
                assert fact is not None
                values[split].add((fact["key"], fact["value"]))
    assert values["train"] == values["validation"] == values["test"]
    assert len(values["test"]) == len(tables.PLACES) * len(tables.DAYS)


def test_all_three_ask_the_same_prompts_once(pairs: list[DialoguePair]) -> None:
    prompts = dialogue_prompts("train", 4_000)
    assert [(made.id, made.prompt) for made in prompts] == [(pair.id, pair.prompt) for pair in pairs]
    assert [made.prompt for made in demonstrations("train", 300)] == [made.prompt for made in prompts[:300]]
    assert len({made.prompt for made in prompts}) == len({made.id for made in prompts}) == 4_000


def test_fewer_are_a_prefix_of_more_and_seeds_differ(pairs: list[DialoguePair]) -> None:
    assert dialogues("train", 50) == pairs[:50]
    assert dialogues("test", 0) == []
    first, second = ({made.prompt for made in dialogue_prompts("test", 300, seed=seed)} for seed in (0, 1))
    assert len(first & second) < 30


@pytest.mark.parametrize("split", SPLITS)
def test_same_dialogues_on_every_machine(split: str) -> None:
    made = [pair[:4] for pair in dialogues(split, 200, noise=0.1)]
    made += [tuple(shown) for shown in demonstrations(split, 100)]
    assert blake2b(repr(made).encode(), digest_size=8).hexdigest() == DIGESTS[split]


def test_every_kind_and_form_is_there(pairs: list[DialoguePair]) -> None:
    kinds = Counter(made.kind for made in dialogue_prompts("train", 4_000))
    for kind, weight in KINDS.items():
        assert kinds[kind] == pytest.approx(4_000 * weight / sum(KINDS.values()), rel=0.2)
    assert {len(pair.prompt) for pair in pairs} == {1, 3}
    assert all(
        [message.role for message in pair.prompt] == ["user", "assistant", "user"][-len(pair.prompt) :]
        for pair in pairs
    )


def test_there_is_something_to_learn() -> None:
    """The best demonstrations are more than 1.3 standard deviations of the mixed ones above their mean."""
    mixed, best = ([made.gold for made in demonstrations("train", 3_000, best=best)] for best in (False, True))
    assert fmean(best) - fmean(mixed) > 1.3 * pstdev(mixed)
    assert 0.05 < fmean(gold >= 1.0 for gold in mixed) < 0.3


def test_the_vocabulary_is_small(pairs: list[DialoguePair]) -> None:
    texts = [
        text for pair in pairs for text in (*[message.content for message in pair.prompt], pair.chosen, pair.rejected)
    ]
    words = {word.strip(".,!?").lower() for text in texts for word in text.split()}
    assert len({word for word in words if not word.isdigit()}) < 320
    assert max(len(text.split()) for text in texts) <= 45


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        dialogues("dev", 1)
    with pytest.raises(ValueError, match="size must be 0 or more, got -1"):
        dialogue_prompts("test", -1)
    for noise in (-0.1, 0.5, float("nan")):
        with pytest.raises(ValueError, match=r"noise must be at least 0 and below 0\.5"):
            dialogues("test", 1, noise=noise)


def test_each_costs_as_much_as_the_one_before() -> None:
    assert grows_in_proportion(lambda size: dialogues("validation", size), 200, 2_000)
