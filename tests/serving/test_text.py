"""Text that grows: no character is shown that is taken back, and the pieces are the whole."""

import random

import pytest

from rltk.errors import UserError
from rltk.serving.text import Vocabulary, Writing
from tests import tiny

TEXT = "Tom has 12 apples.\nHe eats 5 - caf\u00e9 \U0001f34e stays.\n#### 7"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(tiny.tokenizer())


def pieces(writing: Writing, tokens: list[int]) -> list[str]:
    shown = []
    for token in tokens:
        shown.append(writing.add(token))
        if writing.is_stopped:
            break
    return [*shown, writing.finish()]


def test_the_pieces_are_the_text_that_the_tokenizer_reads(vocabulary: Vocabulary) -> None:
    draw = random.Random(0)
    samples = [vocabulary.encode(TEXT), *([draw.randrange(5, vocabulary.size) for _ in range(40)] for _ in range(20))]
    for tokens in samples:
        writing = Writing(vocabulary, ())
        assert "".join(pieces(writing, tokens)) == writing.text == vocabulary.decode(tokens)


def test_a_character_of_several_tokens_is_shown_once_it_is_whole(vocabulary: Vocabulary) -> None:
    shown = pieces(Writing(vocabulary, ()), vocabulary.encode(TEXT))
    assert not any("\ufffd" in piece for piece in shown)
    assert any("\U0001f34e" in piece for piece in shown)


@pytest.mark.parametrize("stop", ["\n####", "eats 5", "T", " apples.\nHe", "7"])
def test_nothing_of_a_stop_string_is_ever_shown(vocabulary: Vocabulary, stop: str) -> None:
    tokens = vocabulary.encode(TEXT)
    known = vocabulary.decode(tokens)
    assert stop in known
    writing = Writing(vocabulary, ("never there", stop))
    shown = pieces(writing, tokens)
    assert "".join(shown) == known.partition(stop)[0]
    assert writing.is_stopped
    assert len(writing.tokens) <= len(tokens)


def test_what_only_began_like_a_stop_string_is_shown_in_the_end(vocabulary: Vocabulary) -> None:
    tokens = vocabulary.encode(TEXT)
    known = vocabulary.decode(tokens)
    writing = Writing(vocabulary, (f"{known[-2:]}!", f"{known[3:7]}!"))
    shown = pieces(writing, tokens)
    assert "".join(shown) == known and not writing.is_stopped
    assert shown[-1] == known[-2:]


def test_a_model_without_a_chat_template_says_where_to_ask() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="/v1/completions"):
        Vocabulary(tokenizer).chat([{"role": "user", "content": "Hello"}])
