"""The policy that comes with rltk: small, able to read any text, and with room to learn."""

import json
from argparse import Namespace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rltk.cli import main
from rltk.data.problems import load_problems
from rltk.data.prompt import PromptRenderer
from rltk.embedded.curriculum import NO, YES
from rltk.embedded.judgements import judgements
from rltk.embedded.word_problems import WordProblem, word_problems
from rltk.recipe.locate import PACKAGE, embedded_folder
from rltk.recipe.schema import Data

MIB = 2**20
EMBEDDED_POLICY = PACKAGE / "embedded" / "policy"
WIDTHS = {"embedded/policy": 256, "embedded/policy-128": 128, "embedded/policy-64": 64}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(EMBEDDED_POLICY)


def test_it_is_small() -> None:
    with safe_open(EMBEDDED_POLICY / "model.safetensors", "pt") as weights:
        parameters = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118  # not a dict
    assert 3_000_000 < parameters <= 6_000_000
    assert sum(file.stat().st_size for file in EMBEDDED_POLICY.iterdir()) <= 12 * MIB
    assert {file.suffix for file in EMBEDDED_POLICY.iterdir()} == {".json", ".jinja", ".safetensors"}


@pytest.mark.parametrize(
    "text", ["12 + 5 = 17\n#### 17", "naïve café", "你好世界", "🎉\u200d🎊", "\u202eabc", "ﷺ", "\x00\t"]
)
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) <= len(text.encode())


def test_each_digit_is_a_token(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.tokenize("#### 1234") == ["####", "Ġ1", "2", "3", "4"]


def test_the_prompt_is_what_it_was_taught(tokenizer: PreTrainedTokenizerBase) -> None:
    data = Data(path="embedded/word-problems", size=1)
    problem = load_problems(data, "train")[0]
    assert PromptRenderer(tokenizer, data).text(problem) == f"<|user|>{problem.question}<|assistant|>"
    conversation = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    conversation.append({"role": "assistant", "content": "A"})
    rendered = tokenizer.apply_chat_template(conversation, tokenize=False)
    assert rendered == "<|system|>S<|user|>U<|assistant|>A<|end|>"


def test_it_starts_with_room_to_learn(tmp_path: Path) -> None:
    """Its likeliest answer is a guess, and is right for 15 to 50 % of 1,000 problems that nothing was trained on."""
    arguments = ["embedded/policy", "--task", "word-problems", "--samples", "0", "--max-new-tokens", "96"]
    assert main(["eval", *arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    score = json.loads((tmp_path / "out" / "scores.json").read_text())["word-problems"]
    assert score["n"] == 1000
    assert 0.15 < score["accuracy"] < 0.5
    assert score["unreadable"] < 0.02


def test_it_can_judge(tokenizer: PreTrainedTokenizerBase) -> None:
    """Of replies that nothing was trained on it knows which are good: what a reward model starts from."""
    model = AutoModelForCausalLM.from_pretrained(EMBEDDED_POLICY)
    yes, no = (tokenizer.encode(word)[0] for word in (YES, NO))
    judged = list(judgements("test", 300))
    right = 0
    for judgement in judged:
        turns = [message._asdict() for message in judgement.prompt]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        assert isinstance(text, str)
        with torch.no_grad():
            logits_V = model(torch.tensor([tokenizer.encode(text)])).logits[0, -1]
        right += bool(logits_V[yes] > logits_V[no]) == judgement.is_good
    assert right / len(judged) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("tune", "steps"), [("lora", 60), ("full", 30)])
def test_it_learns(tune: str, steps: int, tmp_path: Path) -> None:
    """The shipped laptop recipe, and half of its steps in full, gain at least 20 points, greedy and sampled, on
    problems held out."""
    run = tmp_path / "run"
    overrides = [f"tune.type={tune}", f"optim.steps={steps}", "eval.every=0", "eval.limit=200"]
    assert main(["train", "gsm8k_grpo", *overrides, "--profile", "laptop", "--run", str(run), "--quiet"]) == 0
    scores = json.loads((run / "scores.json").read_text())
    before, after = (Namespace(**scores[when]["word-problems"]) for when in ("before", "after"))
    assert after.accuracy - before.accuracy > 0.2
    assert after.sampled["accuracy"] - before.sampled["accuracy"] > 0.2


@pytest.mark.parametrize("name", WIDTHS)
def test_policies_of_all_widths_read_alike_and_have_learned_something(name: str) -> None:
    """One tokenizer, so that losses can be compared; a careful solution costs the widest 0.1 nats a token."""
    folder = embedded_folder(name)
    assert folder is not None
    config = AutoConfig.from_pretrained(folder)
    assert config.hidden_size == WIDTHS[name]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).float()
    assert json.loads(tokenizer.backend_tokenizer.to_str()) == json.loads(
        AutoTokenizer.from_pretrained(EMBEDDED_POLICY).backend_tokenizer.to_str()
    )
    losses = [solution_loss(model, tokenizer, problem) for problem in islice(word_problems("test", 20), 20)]
    assert sum(losses) / len(losses) < 1.0


def solution_loss(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, problem: WordProblem) -> float:
    prompt = tokenizer.encode(f"<|user|>{problem.question}<|assistant|>")
    ids = torch.tensor(prompt + tokenizer.encode(f"{problem.solution}<|end|>"))
    with torch.no_grad():
        logits = model(ids[None]).logits[0, len(prompt) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[len(prompt) :]).item()
