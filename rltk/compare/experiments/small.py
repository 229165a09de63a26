"""What several experiments share: a small model, texts, and supervised steps that are the same in every arm.

Shapes: B texts, T tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from rltk.embedded.word_problems import stream
from rltk.models.adapters import add_lora
from rltk.models.load import load_tokenizer, load_weights
from rltk.recipe.schema import LoRA, Model
from rltk.seeds import derive

TINY = "tiny"
"""The name, where a model's path is asked for, of a random model that is made on the spot."""
EMBEDDED = "embedded/policy"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def base_model(path: str, dtype: torch.dtype = torch.float32, *, hidden: int = 64) -> PreTrainedModel:
    """The same weights at every call, all frozen."""
    model = tiny_model(hidden) if path == TINY else load_weights(Model(path=path, dtype="float32"), device())
    nn.Module.to(model, device(), dtype)
    return model.requires_grad_(False).eval()


def tiny_model(hidden: int) -> PreTrainedModel:
    """Two layers of GPT-2 with random weights and the embedded policy's vocabulary.

    GPT-2, because later architectures compute their norms in float32 whatever the dtype.
    """
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "n_embd": hidden,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 512,
        "bos_token_id": None,
        "eos_token_id": None,
        **{"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    }
    config = GPT2Config(vocab_size=len(tokenizer_of(TINY)), **sizes)
    return GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")


@cache
def tokenizer_of(path: str) -> PreTrainedTokenizerBase:
    return load_tokenizer(Model(path=EMBEDDED if path == TINY else path))


def with_adapter(base: PreTrainedModel, tune: LoRA, seed: int) -> PeftModel:
    """A fresh adapter in the base's own dtype; its A depends on the seed and the rank alone."""
    torch.manual_seed(derive(seed, "adapter"))
    model = add_lora(base, tune)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(base.dtype)
    return model


def adapter_factors(model: PeftModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """All A, and all B."""
    named = list(model.named_parameters())
    return [w for name, w in named if ".lora_A." in name], [w for name, w in named if ".lora_B." in name]


def batches(path: str, *, steps: int, texts: int, tokens: int, seed: int = 0) -> list[Tensor]:
    """`steps` batches ids_BT of worked word problems of levels 4 and 5, cut to one length; the same at every call."""
    rows = text_rows(tokenizer_of(path), tokens, seed)
    return [torch.tensor(list(islice(rows, texts)), device=device()) for _ in range(steps)]


def text_rows(tokenizer: PreTrainedTokenizerBase, tokens: int, seed: int) -> Iterator[list[int]]:
    """Texts one after the other, in rows of `tokens`, as in pretraining."""
    waiting: list[int] = []
    for problem in stream("train", seed=seed, levels=(4, 5)):
        waiting += tokenizer.encode(f"{problem.question}\n{problem.solution}\n")
        while len(waiting) >= tokens:
            yield waiting[:tokens]
            waiting = waiting[tokens:]


def text_loss(model: nn.Module, ids_BT: Tensor) -> Tensor:
    """Mean log-loss of the next token, in nats."""
    logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
    return F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), ids_BT[:, 1:].flatten())


def losses_of(model: nn.Module, optimizer: torch.optim.Optimizer, data: Sequence[Tensor]) -> list[float]:
    """The loss of each batch before its step."""
    found = []
    for ids_BT in data:
        optimizer.zero_grad()
        loss = text_loss(model, ids_BT)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
