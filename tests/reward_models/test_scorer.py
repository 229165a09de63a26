"""The scorer against transformers' own forward pass of one conversation, over architectures, padding and batches."""

import math
import random
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from rltk_reward_models.conversations import CutOff
from rltk_reward_models.scorer import Conversation, Scorer, length_batches, without_end
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests import tiny
from tests.reward_models import models

WORDS = "the a dog cat sum of two numbers is 17 what how please answer ok no yes because".split()  # noqa: SIM905
Talk: TypeAlias = list[dict[str, str]]


def talk(draw: random.Random, longest: int = 60) -> Talk:
    roles = ["user", "assistant"] * draw.randint(1, 2)
    return [{"role": role, "content": " ".join(draw.choices(WORDS, k=draw.randint(1, longest)))} for role in roles]


def talks(count: int, seed: int = 0, longest: int = 60) -> list[Talk]:
    draw = random.Random(seed)
    return [talk(draw, longest) for _ in range(count)]


def alone(folder: Path, conversations: list[Talk]) -> list[float]:
    """What transformers gives for each of them by itself, without any padding."""
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = []
    for conversation in conversations:
        text = tokenizer.apply_chat_template(conversation, tokenize=False)
        ids_1T = torch.tensor([tokenizer.encode(str(text), add_special_tokens=False)])
        with torch.inference_mode():
            found.append(model.eval()(input_ids=ids_1T).logits.item())
    return found


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_scores_are_those_of_each_conversation_alone(architecture: str, tmp_path: Path):
    folder, conversations = models.whole(tmp_path / "m", architecture), talks(12)
    scored = list(Scorer.load(folder).scores(conversations))
    expected = alone(folder, conversations)
    assert [one.score for one in scored] == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.1
    assert not any(one.is_truncated for one in scored)


@pytest.mark.parametrize("pad", ["none", "eos", "own"])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_the_padding_token_does_not_matter_to_batches(architecture: str, pad: str, tmp_path: Path):
    """Also where it is the token that ends every reply, and where the model has none, as many have."""
    tokens = tiny.tokenizer()
    pad_id = {"none": None, "eos": tokens.eos_token_id, "own": tokens.pad_token_id}[pad]
    folder = models.whole(tmp_path / "m", architecture, pad_token_id=pad_id)
    scorer, conversations = Scorer.load(folder), talks(12, seed=1)
    assert scorer.encode(conversations[0]).ids[-1] == scorer.tokenizer.eos_token_id
    together = [one.score for one in scorer.scores(conversations)]
    assert together == pytest.approx(alone(folder, conversations), abs=1e-5)


def test_without_a_padding_token_every_last_token_is_read(tmp_path: Path):
    """Rows that end in tokens 0, 1 and 2, which would do for padding where none is named."""
    folder = models.whole(tmp_path / "m", pad_token_id=None)
    scorer = Scorer.load(folder)
    texts = [scorer.tokenizer.decode([5] * length + [length % 3]) for length in range(1, 8)]
    alike = [str(text) for text in texts]
    together = [one.score for one in scorer.scores(alike)]
    assert [scorer.encode(text).ids[-1] for text in alike[:3]] == [1, 2, 0]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = [model(input_ids=torch.tensor([scorer.encode(text).ids])).logits.item() for text in alike]
    assert together == pytest.approx(expected, abs=1e-5)


def test_batch_mates_and_budgets_do_not_matter(reward_model: Path):
    conversations = talks(40, seed=2)
    expected = [one.score for one in Scorer.load(reward_model, batch_tokens=1).scores(conversations)]
    for budget in (200, 100_000):
        scored = Scorer.load(reward_model, batch_tokens=budget).scores(reversed(conversations))
        assert [one.score for one in scored][::-1] == pytest.approx(expected, abs=1e-5)


def test_order_is_kept_across_windows(reward_model: Path, monkeypatch: pytest.MonkeyPatch):
    conversations = talks(23, seed=3)
    scorer = Scorer.load(reward_model)
    expected = [one.score for one in scorer.scores(conversations)]
    monkeypatch.setattr("rltk_reward_models.scorer.WINDOW", 5)
    assert [one.score for one in scorer.scores(iter(conversations))] == pytest.approx(expected, abs=1e-5)
    nothing: Conversation = []
    with pytest.raises(ValueError, match="conversation 23 is empty"):
        list(scorer.scores([*conversations, nothing]))


def test_windows_are_read_as_they_are_needed(reward_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rltk_reward_models.scorer.WINDOW", 5)
    read: list[Conversation] = []
    source = (read.append(one) or one for one in talks(20))
    next(iter(Scorer.load(reward_model).scores(source)))
    assert len(read) == 5


def test_batches_keep_to_the_budget_and_lose_nobody():
    lengths = [random.Random(0).randint(1, 100) for _ in range(300)] + [5000]
    batches = list(length_batches(lengths, 800))
    assert sorted(index for batch in batches for index in batch) == list(range(301))
    assert batches[0] == [300]
    assert all(len(batch) * max(lengths[i] for i in batch) <= 800 for batch in batches[1:])
    assert len(batches) < 40


def test_a_long_conversation_is_cut_at_its_start_and_says_so(reward_model: Path):
    scorer, short = Scorer.load(reward_model, max_length=20), "ok yes"
    long = "what is the sum of two numbers " * 10 + "ok"
    ids = scorer.tokenizer.encode(long, add_special_tokens=False)
    cut, kept = scorer.scores([long, short])
    assert (cut.is_truncated, cut.tokens, kept.is_truncated) == (True, len(ids), False)
    tail = scorer.tokenizer.decode(ids[-20:])
    assert isinstance(tail, str)
    assert cut.score == pytest.approx(next(scorer.scores([tail])).score, abs=1e-5)


def test_the_context_is_the_limit(reward_model: Path):
    scorer = Scorer.load(reward_model)
    assert scorer.identity.max_length == 512
    assert next(scorer.scores(["ok " * 2000])).is_truncated
    with pytest.raises(ValueError, match="exceeds the context"):
        Scorer.load(reward_model, max_length=513)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "conversation 1 is empty"),
        ([], "conversation 1 is empty"),
        ([{"role": "user"}], "message 0 of conversation 1 needs"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": None}], "message 1 of conversation 1"),
        ([{"role": "", "content": "a"}], "message 0 of conversation 1"),
        (["text"], "message 0 of conversation 1"),
        (None, "conversation 1 is a NoneType"),
        ("\ud800", "surrogate"),
        (CutOff([]), "conversation 1 is empty"),
        (CutOff("text"), "conversation 1 is a str; give a list of messages"),  # pyright: ignore[reportArgumentType]  # wrong
        (CutOff([{"role": "user"}]), "message 0 of conversation 1 needs"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_its_index(reward_model: Path, bad: Any, words: str):
    with pytest.raises(ValueError, match=words):
        list(Scorer.load(reward_model).scores(["fine", bad]))


def test_an_empty_reply_is_a_reply(reward_model: Path):
    question = {"role": "user", "content": "how"}
    (scored,) = Scorer.load(reward_model).scores([[question, {"role": "assistant", "content": ""}]])
    assert math.isfinite(scored.score)


def test_only_the_end_of_the_last_reply_is_taken_off():
    assert without_end("<u>what<e>\n<a>yes<e>\n", "<e>") == "<u>what<e>\n<a>yes"
    assert without_end("<u>what<e><a>yes \n<e>", "<e>") == "<u>what<e><a>yes \n"
    assert without_end("<u>what<e><a>yes \n", "<e>") == "<u>what<e><a>yes \n"  # a template that writes none
    assert without_end("<u>what<a>yes", None) == without_end("<u>what<a>yes", "") == "<u>what<a>yes"


def test_messages_can_be_rendered_otherwise(reward_model: Path):
    scorer = Scorer.load(reward_model, render=lambda messages: " / ".join(m["content"] for m in messages))
    (rendered, text) = scorer.scores(
        [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a / b"]
    )
    assert rendered.score == pytest.approx(text.score, abs=1e-5) and rendered.tokens == text.tokens


def test_without_a_template_messages_are_refused(tmp_path: Path):
    folder = models.whole(tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    scorer = Scorer.load(folder)
    with pytest.raises(ValueError, match="no chat template"):
        list(scorer.scores([[{"role": "user", "content": "a"}]]))
    assert math.isfinite(next(scorer.scores(["a b"])).score)


def test_a_template_that_refuses_is_reported(tmp_path: Path):
    folder = models.whole(tmp_path / "m")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('only users speak here') }}")
    with pytest.raises(ValueError, match="is refused by the chat template"):
        list(Scorer.load(folder).scores([[{"role": "user", "content": "a"}]]))


def test_a_score_that_is_no_number_is_refused(tmp_path: Path):
    model = models.classifier()
    model.get_parameter("score.weight").data.fill_(math.nan)
    model.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="conversation 0 scored nan"):
        list(Scorer.load(tmp_path).scores(["a"]))


def test_bfloat16_is_near(reward_model: Path, reward_adapter: Path):
    for folder in (reward_model, reward_adapter):
        exact, rounded = Scorer.load(folder), Scorer.load(folder, dtype=torch.bfloat16)
        left, right = ([one.score for one in scorer.scores(talks(10))] for scorer in (exact, rounded))
        assert right == pytest.approx(left, abs=0.25 * (max(left) - min(left)))
        assert right != left
        assert rounded.identity.model != exact.identity.model
        assert rounded.identity.is_base_verified


def test_an_identity_is_of_weights_tokenizer_and_limit(reward_model: Path, tmp_path: Path):
    own = Scorer.load(reward_model).identity
    assert own == Scorer.load(reward_model).identity
    assert own.model != Scorer.load(reward_model, max_length=100).identity.model
    assert own.model != Scorer.load(models.whole(tmp_path / "other", seed=1)).identity.model
    template = models.whole(tmp_path / "template")
    assert own.model == Scorer.load(template).identity.model
    (template / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert own.model != Scorer.load(template).identity.model
