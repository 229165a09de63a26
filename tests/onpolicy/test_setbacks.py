"""Logits that are no numbers, memory that runs out, prompts that do not fit: each costs what it must, and says so."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rltk.data.prompt import misfit
from rltk.errors import UserError
from rltk.onpolicy.assemble import Assembled, assemble, load_inputs
from rltk.onpolicy.learner import Tally
from rltk.onpolicy.loop import train_step
from rltk.recipe.schema import Recipe
from rltk.rollout.engines import make_sampler
from rltk.rollout.native import bytes_a_row
from rltk.rollout.sampler import Rollout, Sampling
from tests import files, tiny
from tests.onpolicy import made
from tests.recipes import LORA, recipe
from tests.shortage import short_of_memory

PROMPTS = [[7, 8, 9], [10, 11], [7, 12, 13, 14], [15]]
POISON = 11
"""A token of the second prompt alone."""


@contextmanager
def poisoned(model: nn.Module, token: int) -> Iterator[None]:
    """Whoever reads this token computes nothing but nan from there on."""
    table = next(module for module in model.modules() if isinstance(module, nn.Embedding))

    def spoil(_: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        return output.masked_fill((args[0] == token)[..., None], torch.nan)

    handle = table.register_forward_hook(spoil)
    yield
    handle.remove()


def completions(engine: str, model: nn.Module, batch: int = 64) -> list[list[Rollout]]:
    sampler = make_sampler(engine, model, stops=(4,), pad=0, batch=batch, dtype=torch.float32)
    return sampler.sample(PROMPTS, 3, Sampling(12), seed=0)


@pytest.mark.parametrize("engine", ["native", "generate"])
def test_broken_logits_end_a_completion_and_spare_the_others(engine: str) -> None:
    model = tiny.model()
    whole = completions(engine, model)
    with poisoned(model, POISON):
        groups = completions(engine, model)
    assert all(rollout.is_broken and len(rollout.tokens_T) == 0 for rollout in groups[1])
    for index in (0, 2, 3):
        for rollout, expected in zip(groups[index], whole[index], strict=True):
            read = expected.tokens_T[:-1].tolist()
            length = read.index(POISON) + 1 if POISON in read else len(expected.tokens_T)
            assert rollout.is_broken == (POISON in read)
            assert rollout.tokens_T.tolist() == expected.tokens_T[:length].tolist()
            assert rollout.logprobs_T.isfinite().all()


def trainer(tmp_path: Path, **sections: object) -> Assembled:
    chosen = recipe(model={"path": str(tiny.folder(tmp_path / "model"))}, **sections)
    return assemble(chosen, load_inputs(chosen), torch.device("cpu"))


STEPS: dict[str, dict[str, object]] = {
    "grpo": {},
    "a reference": {"kl": 0.1},
    "two updates": {"updates": 2},
    "ppo": {"type": "ppo", "kl": 0.1, "kl_target": 1.0},
    "ppo, shared trunk": {"type": "ppo", "critic": {"type": "head"}},
}


@pytest.mark.parametrize("algo", STEPS.values(), ids=STEPS)
def test_a_step_goes_on_without_the_problem_whose_logits_break(algo: dict[str, object], tmp_path: Path) -> None:
    parts = trainer(tmp_path, algo=algo).trainer
    problems = parts.order.take(0, 4)
    prompts = [set(parts.renderer.tokens(problem)) for problem in problems]
    own = prompts[0] - set().union(*prompts[1:])
    with poisoned(parts.learner.model, min(own)):
        metrics = train_step(parts, 0)
    assert metrics["broken_problems"][0] == problems[0].id and len(metrics["broken_problems"]) < 4
    assert all(weight.isfinite().all() for weight in parts.learner.trained)
    assert "broken_problems" not in train_step(parts, 1)
    common = min(set.intersection(*prompts))
    with (
        poisoned(parts.learner.model, common),
        pytest.raises(UserError, match=r"step 1: .* not numbers on any problem"),
    ):
        train_step(parts, 0)


def test_sampling_goes_on_with_half_the_batch_when_memory_runs_out(capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny.model()
    expected = completions("native", model)
    with short_of_memory(model, tokens=8) as asked:
        found = completions("native", model)
    assert max(asked[asked.index(max(asked)) + 1 :]) <= 8
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        assert ours.tokens_T.tolist() == theirs.tokens_T.tolist()
        torch.testing.assert_close(ours.logprobs_T, theirs.logprobs_T, rtol=0, atol=1e-5)
    said = capsys.readouterr().err
    assert said == "rltk: out of memory with 12 completions at once; going on with 6 (see rollout.batch)\n"
    with short_of_memory(model, tokens=2), pytest.raises(UserError, match="sampling one group of 3 completions"):
        completions("native", model)


def test_training_goes_on_with_half_the_tokens_when_memory_runs_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = trainer(tmp_path).trainer.learner
    learner.forward.micro_tokens = 200
    whole = learner.accumulate(made.episodes(), Tally())
    expected = [weight.grad.clone() for weight in learner.trained if weight.grad is not None]
    with short_of_memory(learner.model, tokens=40):
        tally = learner.accumulate(made.episodes(), Tally())
    assert "rltk: out of memory with 200 tokens at once; going on with 5" in capsys.readouterr().err
    assert tally.tokens == whole.tokens > 0 and tally.loss == pytest.approx(whole.loss, abs=1e-6)
    assert len(expected) > 0
    for weight, gradient in zip(learner.trained, expected, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, gradient, rtol=0, atol=1e-5)
    with short_of_memory(learner.model, tokens=3), pytest.raises(UserError, match="training on one completion"):
        learner.accumulate(made.episodes(), Tally())


def asking(questions: Sequence[str], model: Path, folder: Path, **data: str) -> Recipe:
    """A recipe whose problems are these questions."""
    file = files.jsonl(folder / "problems.jsonl", [{"question": text, "answer": "1"} for text in questions])
    return Recipe.model_validate(
        {
            "name": "test",
            "model": {"path": str(model), "dtype": "float32"},
            "data": {"path": str(file), **data},
            "algo": {"type": "grpo", "prompts": 4, "group": 2},
            "tune": LORA,
            "eval": {"tasks": ["word-problems"], "limit": 2},
            "rollout": {"max_new_tokens": 16},
        }
    )


def test_prompts_that_do_not_fit_are_left_out_and_named(tmp_path: Path) -> None:
    questions = ["What is 1? " * times for times in (1, 2, 200, 3, 300)]
    inputs = load_inputs(asking(questions, tiny.folder(tmp_path / "model"), tmp_path))
    assert [problem.id for problem in inputs.problems] == ["train/0", "train/1", "train/3"]
    assert sorted(inputs.left_out) == ["train/2", "train/4"]
    assert "exceeds the model's context of 512" in inputs.left_out["train/2"]


def test_a_prompt_that_says_nothing_is_left_out_and_the_sentence_names_the_key(tmp_path: Path) -> None:
    """A question has words, or its row is refused; a chat template may still leave nothing of it."""
    model = tiny.folder(tmp_path / "model")
    template = "{% for message in messages %}{{ message.content | replace('void', '') }}{% endfor %}"
    (model / "chat_template.jinja").write_text(template, encoding="utf-8")
    chosen = asking(("What is 1?", "void", "What is 2?"), model, tmp_path, prompt="{question}")
    assert load_inputs(chosen).left_out == {"train/1": "renders to an empty prompt; see data.prompt."}
    assert misfit([], max_new_tokens=1, context=None) == "renders to an empty prompt; see data.prompt."
    assert misfit([7], max_new_tokens=1, context=2) is None


def test_what_a_completion_takes_is_reckoned_from_the_config() -> None:
    """2 layers of 2 key heads of 8: 64 numbers of 2 bytes a token for keys and values, thrice; 1,024 words."""
    config = tiny.model("qwen3").config
    assert (config.num_hidden_layers, config.num_key_value_heads, config.head_dim) == (2, 2, 8)
    assert bytes_a_row(config, 100, torch.bfloat16) == 3 * 100 * 64 * 2 + 24 * config.vocab_size
