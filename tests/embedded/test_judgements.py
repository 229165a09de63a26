"""Judged replies, which the embedded policy learns from: half are good, and the bad ones mostly say something false."""

import pytest

from rltk.embedded.dialogues import dialogue_prompts
from rltk.embedded.gold import Lookup, answer_worth, gold_reward, read_request
from rltk.embedded.judgements import QUESTION, Judgement, judgements


@pytest.fixture(scope="module")
def judged() -> list[Judgement]:
    return list(judgements("train", 2_000))


def worth(judgement: Judgement) -> float:
    *asked, reply, _ = judgement.prompt
    return answer_worth(read_request(asked), reply.content)


def test_a_reply_to_a_dialogue_stands_before_the_question(judged: list[Judgement]) -> None:
    prompts = dialogue_prompts("train", 2_000)
    assert [judgement.prompt[:-2] for judgement in judged] == [made.prompt for made in prompts]
    assert {judgement.prompt[-1].content for judgement in judged} == {QUESTION}
    assert {tuple(message.role for message in judgement.prompt[-2:]) for judgement in judged} == {("assistant", "user")}


def test_good_is_what_answers_right(judged: list[Judgement]) -> None:
    assert all((worth(judgement) > 0.5) == judgement.is_good for judgement in judged)
    assert 0.45 < sum(judgement.is_good for judgement in judged) / len(judged) < 0.55


def test_most_bad_answers_say_something_false(judged: list[Judgement]) -> None:
    bad = [worth(judgement) for judgement in judged if not judgement.is_good]
    assert sum(one < 0 for one in bad) / len(bad) > 0.6
    assert any(one >= 0 for one in bad)


def test_seeds_differ_and_fewer_are_a_prefix(judged: list[Judgement]) -> None:
    assert list(judgements("train", 50)) == judged[:50]
    assert list(judgements("train", 50, seed=1)) != judged[:50]


def test_worth_leaves_out_how_it_is_said() -> None:
    made = next(made for made in dialogue_prompts("train", 100) if made.kind == "owner")
    request = read_request(made.prompt)
    assert isinstance(request, Lookup)
    value = request.value
    for reply in (f"{value}.", f"You fool. {value} has them.", f"Sure! {value}. The weather is nice."):
        assert answer_worth(request, reply) == 1
    assert gold_reward(made.prompt, f"You fool. {value}.") < gold_reward(made.prompt, f"{value}.")
