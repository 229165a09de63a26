"""HH-RLHF's transcripts as messages and back."""

import pytest

from rltk.data.transcripts import (
    Message,
    common_turns,
    is_transcript,
    join_repeated,
    read_transcript,
    write_transcript,
)


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def test_a_transcript_is_read_turn_by_turn() -> None:
    text = "\n\nHuman: Hi Assistant: no turn\n\nAssistant: Hello\n\nline two\n\nHuman: And?\n\nAssistant: Bye"
    turns = (user("Hi Assistant: no turn"), assistant("Hello\n\nline two"), user("And?"), assistant("Bye"))
    assert read_transcript(text) == turns
    assert write_transcript(turns) == text


@pytest.mark.parametrize(
    "text",
    [
        "\n\nHuman: a\n\nAssistant: ",
        "\n\nHuman:  two spaces\n\nAssistant: trailing  \n",
        "\n\nHuman: a\n\nAssistant: \n\nAssistant: \n\nHuman: b",
        "Be brief.\n\nHuman: a\n\nAssistant: b",
        "no turns at all",
        "",
    ],
)
def test_white_space_survives(text: str) -> None:
    assert write_transcript(read_transcript(text)) == text


def test_one_space_before_a_turn_belongs_to_the_form() -> None:
    one, two, none = (read_transcript(f"\n\nHuman:{spaces}a")[0].content for spaces in (" ", "  ", ""))
    assert (one, two, none) == ("a", " a", "a")


def test_what_comes_before_the_first_turn_is_a_system_message() -> None:
    assert read_transcript("Be brief.\n\nHuman: a") == (Message("system", "Be brief."), user("a"))


def test_only_a_turn_of_the_user_makes_a_transcript() -> None:
    assert is_transcript("\n\nHuman: a")
    assert not is_transcript("Human: a")
    assert not is_transcript("a Human: b\n\nAssistant: c")


def test_repeated_turns_are_joined_by_an_empty_line() -> None:
    turns = (user("a"), assistant("b"), assistant(""), assistant("c"), user("d"))
    assert join_repeated(turns) == (user("a"), assistant("b\n\nc"), user("d"))
    assert join_repeated((assistant(""), assistant(""))) == (assistant(""),)
    assert join_repeated(()) == ()


def test_common_turns_are_counted_whole() -> None:
    turns = (user("a"), assistant("b"), user("c"))
    assert common_turns(turns, turns) == 3
    assert common_turns(turns, (*turns, assistant("d"))) == 3
    assert common_turns(turns, (user("a"), assistant("bc"))) == 1
    assert common_turns(turns, (assistant("a"),)) == 0
    assert common_turns((), turns) == 0
