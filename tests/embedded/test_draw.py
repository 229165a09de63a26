from collections import Counter

import pytest

from rltk.embedded.draw import Draw, known_split, split_of, stable_hash


def test_draws_are_the_same_on_every_machine() -> None:
    draw = Draw(stable_hash("a"))
    drawn = [draw.between(1, 6), draw.one_of("abcdef"), draw.some_of("abcdef", 3), draw.weighted({"x": 1, "y": 2})]
    assert drawn == [6, "b", ["a", "e", "d"], "x"]


def test_draws_are_fair() -> None:
    draw, count = Draw(0), 12_000
    ends = Counter(draw.between(1, 4) for _ in range(count))
    assert set(ends) == {1, 2, 3, 4} and min(ends.values()) > 0.23 * count
    weighted = Counter(draw.weighted({"x": 1, "never": 0, "y": 3}) for _ in range(count))
    assert set(weighted) == {"x", "y"} and weighted["y"] == pytest.approx(0.75 * count, rel=0.03)
    firsts = Counter(draw.some_of("abc", 2)[0] for _ in range(count))
    assert min(firsts.values()) > 0.31 * count


def test_some_are_different_places() -> None:
    draw = Draw(1)
    assert all(sorted(draw.some_of("abcd", 4)) == list("abcd") for _ in range(20))
    assert draw.some_of("abcd", 0) == []


def test_splits_are_tenths() -> None:
    splits = Counter(split_of(f"plan {index}") for index in range(20_000))
    assert splits["test"] == pytest.approx(2_000, rel=0.1)
    assert splits["validation"] == pytest.approx(2_000, rel=0.1)
    assert splits["train"] == 20_000 - splits["test"] - splits["validation"]


def test_an_unknown_split_is_refused() -> None:
    assert known_split("test") == "test"
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        known_split("dev")
