"""The critic of PPO: a scalar head on a trunk, which is the policy's own, an adapter on the policy's base, or a copy.

What is saved in `critic/` is a model for sequence classification with one label, as reward models are: it loads
wherever they do, and gives the value of the state after its last token; `critic.from` takes it too. A head alone is
saved as one tensor, since its trunk is the policy.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from rltk_reward_models.fingerprint import HEADS, record_base
from rltk_reward_models.loading import load_reward_model
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rltk.errors import UserError
from rltk.models.adapters import adapter_chosen
from rltk.models.roles import VALUE, SavedRole, add_role, fits, new_head, read_role
from rltk.recipe.schema import PPO, Recipe
from rltk.rewards.folder import reward_folder
from rltk.run.atomic import new_folder
from rltk.seeds import derive

Kind = Literal["head", "adapter", "model"]
HEAD_KEY = "score.weight"


@dataclass(frozen=True)
class Critic:
    kind: Kind
    model: nn.Module
    """Computes the trunk: the policy's model, within `chosen` if by another adapter, or a copy of it."""
    head: nn.Linear
    own: list[nn.Parameter]
    """What trains beside the head and is no part of the policy."""
    lr: float

    @property
    def trained(self) -> list[nn.Parameter]:
        return [*self.own, *self.head.parameters()]

    @property
    def shares_trunk(self) -> bool:
        return self.kind == "head"

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Within it `model` computes the critic's trunk."""
        if self.kind != "adapter":
            yield
            return
        with adapter_chosen(self.model, VALUE):
            yield

    def __str__(self) -> str:
        trunk = {"head": "a head on the policy's trunk", "adapter": "an adapter of its own on the policy's base"}
        return f"the critic is {trunk.get(self.kind, 'a whole model of its own')} ({count(self.trained):,} parameters)"


def make_critic(recipe: Recipe, policy: nn.Module, lr: float) -> Critic:
    """A critic whose values are all zero, or those of the reward model that it starts from."""
    assert isinstance(recipe.algo, PPO)
    options = recipe.algo.critic
    kind: Kind = kind_of(recipe)
    device = next(policy.parameters()).device
    match kind:
        case "head":
            head = new_head(hidden_size(policy), device)
            return Critic(kind, policy, head, [], lr)
        case "adapter":
            assert isinstance(policy, PeftModel)
            torch.manual_seed(derive(recipe.seed, "critic"))
            role = add_role(policy, VALUE, saved_role(policy, options.from_))
            for weight in (*role.weights, role.head.weight):
                weight.requires_grad_(True)
            return Critic(kind, policy, role.head, role.weights, lr)
        case "model":
            trunk, head = trunk_of(policy), new_head(hidden_size(policy), device)
            if options.from_ is not None:
                start_from(trunk, head, options.from_)
            return Critic(kind, trunk, head, list(trunk.parameters()), lr)


def kind_of(recipe: Recipe) -> Kind:
    assert isinstance(recipe.algo, PPO)
    if recipe.algo.critic.type != "auto":
        return recipe.algo.critic.type
    return "adapter" if recipe.tune.type == "lora" else "model"


def trunk_of(policy: nn.Module) -> nn.Module:
    """A copy that trains and has no output head: it predicts no vocabulary, so that would be held for nothing."""
    trunk = copy.deepcopy(policy)
    assert isinstance(trunk, PreTrainedModel)
    trunk.set_output_embeddings(nn.Identity())
    return trunk.requires_grad_(True)


def saved_role(policy: PeftModel, path: str | None) -> SavedRole | None:
    if path is None:
        return None
    folder = reward_folder(path, "algo.critic.from")
    try:
        saved, is_fitting = read_role(folder), fits(policy, folder)
    except ValueError as error:
        raise UserError(f"algo.critic.from: {error}.") from error
    if saved is None or not is_fitting:
        raise UserError(
            f"algo.critic.from = {path}: it is no LoRA that was trained on the policy's own base ({folder} has no "
            "base.json, or one of other weights); train the reward model on that base, or set critic.from to null."
        )
    return saved


def start_from(trunk: nn.Module, head: nn.Linear, path: str) -> None:
    """Puts the weights of a whole reward model into the trunk and the head."""
    folder = reward_folder(path, "algo.critic.from")
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"algo.critic.from = {path} is an adapter, and with full fine-tuning the critic is a whole model; "
            "give a reward model that was trained in full."
        )
    try:
        loaded = load_reward_model(folder, base=None, device=str(head.weight.device), dtype=torch.float32).model
    except ValueError as error:
        raise UserError(f"algo.critic.from: {error}.") from error
    weights = loaded.state_dict()
    scores = {key: weights.pop(key) for key in list(weights) if key.partition(".")[0] in HEADS}
    own = trunk.state_dict()
    if {key: value.shape for key, value in own.items()} != {key: value.shape for key, value in weights.items()}:
        raise UserError(f"algo.critic.from = {path} is of another architecture than the policy; give one of the same.")
    trunk.load_state_dict(weights)
    head.weight.data.copy_(next(iter(scores.values())))


def save_critic(critic: Critic, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Complete or not at all, as safetensors."""
    head = {HEAD_KEY: critic.head.weight.detach().cpu().contiguous()}
    with new_folder(path) as beside:
        match critic.kind:
            case "head":
                save_file(head, beside / "head.safetensors")
                return
            case "adapter":
                save_adapter(critic, head, beside)
            case "model":
                save_whole(critic, head, beside)
        tokenizer.save_pretrained(str(beside))


def save_adapter(critic: Critic, head: dict[str, torch.Tensor], folder: Path) -> None:
    assert isinstance(critic.model, PeftModel)
    weights = get_peft_model_state_dict(critic.model, adapter_name=VALUE, save_embedding_layers=False)
    kept = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    kept |= {f"base_model.model.{name}": weight for name, weight in head.items()}
    save_file(kept, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = copy.deepcopy(critic.model.peft_config[VALUE])
    assert isinstance(config, LoraConfig)
    config.task_type, config.modules_to_save, config.inference_mode = "SEQ_CLS", ["classifier", "score"], True
    config.save_pretrained(str(folder))
    record_base(critic.model, folder)


def save_whole(critic: Critic, head: dict[str, torch.Tensor], folder: Path) -> None:
    assert isinstance(critic.model, PreTrainedModel)
    weights = {name: weight.detach().cpu().contiguous() for name, weight in critic.model.state_dict().items()}
    save_file(weights | head, folder / "model.safetensors", metadata={"format": "pt"})
    config = copy.deepcopy(critic.model.config)
    config.num_labels = 1
    config.architectures = [type(critic.model).__name__.replace("ForCausalLM", "ForSequenceClassification")]
    config.save_pretrained(str(folder))


def hidden_size(model: nn.Module) -> int:
    return model.config.get_text_config().hidden_size  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]


def count(weights: list[nn.Parameter]) -> int:
    return sum(weight.numel() for weight in weights)
