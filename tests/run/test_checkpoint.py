"""Checkpoints bring back the very weights and optimizer state, or say why they cannot."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from rltk.errors import UserError
from rltk.run.checkpoint import Progress, list_checkpoints, load_checkpoint, save_checkpoint, trained_weights
from tests import tiny
from tests.runs import names

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # PEFT's


def full(seed: int = 0) -> nn.Module:
    """All weights train, and the embedding is the output head."""
    return tiny.model(seed=seed, tie_word_embeddings=True, hidden_size=16, num_hidden_layers=1)


def lora(seed: int = 0, rank: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    base = tiny.model(hidden_size=16, num_hidden_layers=1)
    config = LoraConfig(r=rank, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    return get_peft_model(base, config, autocast_adapter_dtype=False)  # pyright: ignore[reportReturnType]


def adam(model: nn.Module) -> torch.optim.AdamW:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    return torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Steps along gradients that depend on the weights and on the step alone."""
    for step in steps:
        optimizer.zero_grad()
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        torch.stack([(weight * (step + 1)).sin().sum() for weight in trained]).sum().backward()
        optimizer.step()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def are_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("make", [full, lora])
def test_training_goes_on_to_the_same_bits(make: Callable[..., nn.Module], tmp_path: Path) -> None:
    model = make()
    optimizer = adam(model)
    train(model, optimizer, range(3))
    path = save_checkpoint(tmp_path, model, optimizer, Progress(3, 17), keep=2)
    saved = weights(model)
    train(model, optimizer, range(3, 6))

    other = make(seed=1)
    other_optimizer = adam(other)
    assert load_checkpoint(path, other, other_optimizer) == Progress(3, 17)
    assert are_equal({**trained_weights(other)}, {name: saved[name] for name in trained_weights(other)})
    train(other, other_optimizer, range(3, 6))
    assert are_equal(trained_weights(other), trained_weights(model))
    for state in other_optimizer.state.values():
        assert state["step"] == 6 and state["step"].device.type == "cpu"


def test_tied_weights_are_kept_once_and_stay_tied(tmp_path: Path) -> None:
    model = full()
    optimizer = adam(model)
    train(model, optimizer, range(1))
    path = save_checkpoint(tmp_path, model, optimizer, Progress(1, 1), keep=1)
    assert "lm_head.weight" not in trained_weights(model)
    assert "model.embed_tokens.weight" in trained_weights(model)
    other = full(seed=1)
    load_checkpoint(path, other, adam(other))
    embedding, head = other.get_input_embeddings(), other.get_output_embeddings()  # pyright: ignore[reportCallIssue]
    assert head.weight is embedding.weight
    assert torch.equal(head.weight, model.get_input_embeddings().weight)  # pyright: ignore[reportCallIssue]


def test_a_lora_checkpoint_has_the_adapter_alone(tmp_path: Path) -> None:
    model = lora()
    assert all(".lora_" in name for name in trained_weights(model))
    assert len(trained_weights(model)) == 4


def test_an_optimizer_that_has_not_stepped_yet_has_no_state_to_keep(tmp_path: Path) -> None:
    model = lora()
    path = save_checkpoint(tmp_path, model, adam(model), Progress(1, 5), keep=1)
    other = lora(seed=1)
    optimizer = adam(other)
    assert load_checkpoint(path, other, optimizer) == Progress(1, 5)
    assert not optimizer.state


def test_the_newest_are_kept_in_the_order_of_their_steps(tmp_path: Path) -> None:
    model = lora()
    optimizer = adam(model)
    for step in (9, 10, 999_999, 1_000_000):
        save_checkpoint(tmp_path, model, optimizer, Progress(step, 0), keep=2)
    assert names(tmp_path) == ["step-1000000", "step-999999"]
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-999999", "step-1000000"]


def test_what_has_not_taken_its_name_is_no_checkpoint(tmp_path: Path) -> None:
    model = lora()
    for name in (".step-000003.writing", "damaged-step-000004", "step-notes"):
        (tmp_path / name).mkdir()
    assert list_checkpoints(tmp_path) == []
    path = save_checkpoint(tmp_path, model, adam(model), Progress(2, 0), keep=1)
    assert list_checkpoints(tmp_path) == [path]
    assert list_checkpoints(tmp_path / "nowhere") == []


@pytest.mark.parametrize("other", [full, lambda: lora(rank=3)], ids=["another kind", "another rank"])
def test_a_foreign_checkpoint_is_refused_and_changes_nothing(other: Callable[[], nn.Module], tmp_path: Path) -> None:
    model = other()
    path = save_checkpoint(tmp_path, model, adam(model), Progress(1, 0), keep=1)
    mine = lora()
    before = weights(mine)
    said = f"{path} holds the weights of another model or adapter; resume with the recipe it was made by."
    with pytest.raises(UserError, match=re.escape(said)):
        load_checkpoint(path, mine, adam(mine))
    assert are_equal(weights(mine), before)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("weights.safetensors", b""),
        ("weights.safetensors", None),
        ("optimizer.safetensors", b"\x00" * 100),
        ("progress.json", b"{"),
        ("progress.json", b'{"steps": 1}'),
    ],
)
def test_a_damaged_checkpoint_is_refused(file: str, content: bytes | None, tmp_path: Path) -> None:
    model = lora()
    path = save_checkpoint(tmp_path, model, adam(model), Progress(1, 0), keep=1)
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged \(.+\); delete it to go on from the checkpoint before it\."):
        load_checkpoint(path, lora(), adam(model))
