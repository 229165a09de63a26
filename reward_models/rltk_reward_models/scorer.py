"""Scores conversations with a reward model: the score of one does not depend on the others of its batch.

Shapes: B conversations, T tokens.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from jinja2 import TemplateError
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from rltk_reward_models.conversations import (
    Conversation,
    CutOff,
    Message,
    Renderer,
    Scored,
    check_conversation,
    checked_score,
)
from rltk_reward_models.fingerprint import weights_fingerprint
from rltk_reward_models.loading import load_reward_model, model_config, most_read

WINDOW = 2048


class Encoded(NamedTuple):
    ids: list[int]
    tokens: int
    """Before truncation."""

    @property
    def is_truncated(self) -> bool:
        return self.tokens > len(self.ids)


class Identity(NamedTuple):
    """What a scorer is, as a server tells it."""

    name: str
    model: str
    """Hash of weights, tokenizer and whatever else a score depends on."""
    base: str | None
    is_base_verified: bool
    max_length: int | None


@dataclass(frozen=True)
class Scorer:
    """A loaded reward model; make it with `Scorer.load`. Not for several threads at once."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    identity: Identity
    render: Renderer | None
    batch_tokens: int

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        base: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_length: int | None = None,
        batch_tokens: int = 16_384,
        render: Renderer | None = None,
    ) -> "Scorer":
        """From a folder that `loading` accepts.

        `base` replaces the base that an adapter names, `revision` the branch, tag or commit of it. Python code that
        comes with a model runs only with `trust_remote_code`. `max_length` is by default what the model was trained
        to read (its tokenizer's `model_max_length`), within its context; `batch_tokens` bounds rows times longest row
        of a batch. `render` turns messages into text; by default the chat
        template does, without a generation prompt. Text is read as it stands where there is a chat template, which
        writes all special tokens; without one the tokenizer adds its own.
        """
        if batch_tokens < 1 or (max_length is not None and max_length < 1):
            raise ValueError(f"batch_tokens ({batch_tokens}) and max_length ({max_length}) must be at least 1")
        loaded = load_reward_model(
            path, base=base, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code
        )
        context = getattr(model_config(loaded.model), "max_position_embeddings", None)
        if max_length is not None and context is not None and max_length > context:
            raise ValueError(f"max_length ({max_length}) exceeds the context of {path}, which is {context}")
        limit = max_length or most_read(loaded.tokenizer, context)
        digest = _identity_hash(loaded.model, loaded.tokenizer, limit)
        name = Path(path).expanduser().resolve().name
        identity = Identity(name, digest, loaded.base, loaded.is_base_verified, limit)
        return cls(loaded.model, loaded.tokenizer, identity, render, batch_tokens)

    def scores(self, conversations: Iterable[Conversation]) -> Iterator[Scored]:
        """In the order given, with 2,048 read ahead; ValueError names the index of one that cannot be scored."""
        remaining, start = iter(conversations), 0
        while window := list(islice(remaining, WINDOW)):
            encoded = [self.encode(conversation, start + index) for index, conversation in enumerate(window)]
            for index, (item, score) in enumerate(zip(encoded, self.score_encoded(encoded), strict=True), start):
                yield Scored(checked_score(score, index), item.tokens, item.is_truncated)
            start += len(window)

    def encode(self, conversation: Conversation, index: int = 0) -> Encoded:
        """Its tokens, the last `max_length` of them; ValueError names `index` if there is nothing to score."""
        check_conversation(conversation, index)
        text = conversation if isinstance(conversation, str) else self._rendered(conversation, index)
        # Without `verbose` it would say that a text exceeds the context, of which the last tokens are read.
        is_plain = not self.tokenizer.chat_template
        ids = self.tokenizer.encode(text, add_special_tokens=is_plain, verbose=False) if text else []
        assert isinstance(ids, list)
        if not ids:
            raise ValueError(f"conversation {index} is empty; leave it out")
        if max(ids) >= model_config(self.model).vocab_size:
            raise ValueError(f"conversation {index} has token {max(ids)}, which {self.identity.name} does not know")
        limit = self.identity.max_length
        return Encoded(ids if limit is None else ids[-limit:], len(ids))

    @torch.inference_mode()
    def score_encoded(self, items: Sequence[Encoded]) -> list[float]:
        """Scores as the model gives them, in order; batches are of similar length and within the token budget."""
        scores = [math.nan] * len(items)
        for batch in length_batches([len(item.ids) for item in items], self.batch_tokens):
            for index, score in zip(batch, self._forward([items[i].ids for i in batch]).tolist(), strict=True):
                scores[index] = score
        return scores

    def _rendered(self, messages: Sequence[Message] | CutOff, index: int) -> str:
        if isinstance(messages, CutOff):
            return without_end(self._rendered(messages.messages, index), self.tokenizer.eos_token)
        if self.render is not None:
            return self.render(messages)
        if not self.tokenizer.chat_template:
            raise ValueError(f"{self.identity.name} has no chat template; score rendered text, or give render=")
        try:
            conversation = [dict(message) for message in messages]
            text = self.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=False)
        except (TemplateError, TypeError) as error:  # templates also fail on what they did not expect
            raise ValueError(f"conversation {index} is refused by the chat template ({error})") from error
        assert isinstance(text, str)
        return text

    def _forward(self, rows: list[list[int]]) -> Tensor:
        """Scores of shape (B,). Rows are padded on the right, where causal attention never looks."""
        config, device = model_config(self.model), next(self.model.parameters()).device
        own = config.pad_token_id
        pad = own if own is not None else _unused_end(rows)
        longest = max(map(len, rows))
        ids_BT = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
        lengths_B = torch.tensor([len(row) for row in rows], device=device)
        mask_BT = (torch.arange(longest, device=device) < lengths_B[:, None]).long()
        config.pad_token_id = pad
        try:
            return self.model(input_ids=ids_BT, attention_mask=mask_BT).logits[:, 0].float()
        finally:
            config.pad_token_id = own


def without_end(text: str, end: object) -> str:
    """A rendered conversation whose last reply did not finish: without the token that ends it, and without the white
    space that some templates write after that."""
    closed = text.rstrip()
    return closed.removesuffix(end) if isinstance(end, str) and end and closed.endswith(end) else text


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that rows times longest row stays within the budget where one row does."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _unused_end(rows: list[list[int]]) -> int:
    """A token that ends no row. transformers pools at the last token that is not padding, and without a padding token
    at the very last; with this one in its place both are the same."""
    ends = {row[-1] for row in rows}
    return next(token for token in range(len(ends) + 1) if token not in ends)


def _identity_hash(model: nn.Module, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> str:
    dtype = next(model.parameters()).dtype
    parts = (
        # PEFT keeps the head that its copy replaces, whose numbers are new with every load.
        weights_fingerprint(pair for pair in model.state_dict().items() if "original_module" not in pair[0]),
        # An adapter's alpha is in no weight.
        [(name, module.scaling) for name, module in model.named_modules() if hasattr(module, "scaling")],
        sorted(tokenizer.get_vocab().items()),
        tokenizer.chat_template,
        (str(dtype), max_length, model_config(model).pad_token_id),
    )
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()
