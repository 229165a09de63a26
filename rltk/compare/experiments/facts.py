"""CAP-6: how many bits of random facts adapters of several sizes hold once they learn no more.

A fact is a key of tokens that nobody has seen together, and digits drawn at random: each is worth log2(10) bits to who
does not know it. What a run has stored is what its log-loss of all digits lies below that. More facts are asked than
fit, or what is measured is the data and not the adapter. After Allen-Zhu and Li 2024 (arXiv 2404.05405) and Morris et
al. 2025 (arXiv 2505.24832), who count the parameters of whole models.

Shapes: F facts, B facts of a batch, K tokens of a key, D digits, R runs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from rltk_eval.equivalence.paired import t_quantile
from rltk_eval.equivalence.scores import Array
from rltk_eval.metrics import Interval
from torch import Tensor, nn

from rltk.compare.experiments.small import base_model, device, tokenizer_of, with_adapter
from rltk.compare.outcome import Outcome, ends, verdict_of
from rltk.recipe.fields import Count, Positive, Section, Text
from rltk.recipe.schema import LoRA
from rltk.seeds import derive

NARROW = "embedded/policy-64"
"""Of few parameters, so that few facts fill its adapters."""
KEY = 4
"""Tokens of a key."""
A_DIGIT = math.log2(10)
STRAIGHT = 0.95
"""R2 from which on the bits go in proportion to the parameters."""
LEAST, MOST = 0.5, 4.0
"""Bits a parameter that count as about two."""
FULL = 0.95
"""Of the bits that were offered; who stores more was not at its limit."""
LATE = 0.1
"""Of a run's bits; who stored more in the last quarter of the steps was not at its limit either."""


class Settings(Section):
    model: Text = NARROW
    ranks: tuple[Count, ...] = (1, 2, 4, 8)
    seeds: Count = 2
    """Draws of the facts and of A."""
    targets: tuple[Text, ...] = ("down_proj",)
    facts: Count = 300
    digits: Count = 12
    batch: Count = 64
    steps: Count = 3_000
    lr: Positive = 1e-2
    """At first; it falls to zero along a cosine."""


class Stored(NamedTuple):
    """What a run came to."""

    rank: int
    parameters: int
    bits: float
    late_bits: float
    """Of these, what came in the last quarter of the steps."""


def measure(settings: Settings) -> Outcome:
    runs = [store(settings, rank, seed) for rank in settings.ranks for seed in range(settings.seeds)]
    offered = settings.facts * settings.digits * A_DIGIT
    parameters_R = np.array([run.parameters for run in runs], float)
    slope, interval, straight = through_origin(parameters_R, np.array([run.bits for run in runs]))
    is_full = max(run.bits for run in runs) > FULL * offered
    verdict = verdict_of(
        is_shown=straight >= STRAIGHT and interval.low >= LEAST and interval.high <= MOST,
        is_refuted=straight < STRAIGHT or interval.low > MOST or interval.high < LEAST,
    )
    late = max(run.late_bits / run.bits if run.bits else 1.0 for run in runs)
    summary = (
        f"{slope:.2f} bits a parameter [{interval.low:.2f}, {interval.high:.2f}], R2 {straight:.3f}, ranks "
        f"{', '.join(map(str, settings.ranks))}; up to {late:.0%} of them in the last quarter of the steps"
    )
    if is_full:
        summary += "; an adapter holds all the facts there are, so its limit is not known"
    if late > LATE:
        summary += "; some were still learning"
    details = {"runs": [run._asdict() for run in runs], "bits_offered": offered}
    return Outcome("inconclusive" if is_full or late > LATE else verdict, summary, slope, ends(interval), details)


def store(settings: Settings, rank: int, seed: int) -> Stored:
    """Trains an adapter on all the facts."""
    model = with_adapter(base_model(settings.model), LoRA(rank=rank, targets=settings.targets), seed)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    ids_FT = facts(settings, seed)
    order = torch.Generator().manual_seed(derive(seed, "order"))
    late = 0.0
    for step in range(settings.steps):
        if step == settings.steps * 3 // 4:
            late = bits_stored(model, ids_FT, settings)
        chosen_B = torch.randint(len(ids_FT), (settings.batch,), generator=order)
        optimizer.zero_grad()
        digit_loss(model, ids_FT[chosen_B.to(ids_FT.device)], settings.digits).mean().backward()
        optimizer.step()
        schedule.step()
    bits = bits_stored(model, ids_FT, settings)
    return Stored(rank, sum(weight.numel() for weight in trained), bits, bits - late)


def facts(settings: Settings, seed: int) -> Tensor:
    """[F, K + D] tokens: keys that are all different, of tokens that are no digits, and digits."""
    tokenizer, random = tokenizer_of(settings.model), torch.Generator().manual_seed(derive(seed, "facts"))
    digit_10 = torch.tensor([tokenizer.encode(str(digit), add_special_tokens=False)[-1] for digit in range(10)])
    special = set(tokenizer.all_special_ids) | set(digit_10.tolist())
    words = torch.tensor([token for token in range(len(tokenizer)) if token not in special])
    keys: dict[tuple[int, ...], None] = {}
    while len(keys) < settings.facts:
        drawn = words[torch.randint(len(words), (KEY,), generator=random)]
        keys.setdefault(tuple(drawn.tolist()))
    digits_FD = digit_10[torch.randint(10, (settings.facts, settings.digits), generator=random)]
    return torch.cat([torch.tensor(list(keys)), digits_FD], dim=1).to(device())


def digit_loss(model: nn.Module, ids_BT: Tensor, digits: int) -> Tensor:
    """[B, D], nats of each digit."""
    logits_BDV = model(input_ids=ids_BT, use_cache=False).logits[:, -digits - 1 : -1]
    flat = F.cross_entropy(logits_BDV.flatten(0, 1).float(), ids_BT[:, -digits:].flatten(), reduction="none")
    return flat.unflatten(0, (len(ids_BT), digits))


@torch.no_grad()
def bits_stored(model: nn.Module, ids_FT: Tensor, settings: Settings) -> float:
    """Of all digits; none where the loss is above what a guess costs."""
    nats = sum(digit_loss(model, part_BT, settings.digits).sum().item() for part_BT in ids_FT.split(settings.batch))
    return max(0.0, settings.facts * settings.digits * A_DIGIT - nats / math.log(2))


def through_origin(x_R: Array, y_R: Sequence[float] | Array) -> tuple[float, Interval, float]:
    """Least-squares slope of y = a x, its 95 % t interval, and R2 about the mean of y, stricter than about 0."""
    y_R = np.asarray(y_R, float)
    slope = float(x_R @ y_R / (x_R @ x_R))
    left_R, about = y_R - slope * x_R, float(((y_R - y_R.mean()) ** 2).sum())
    freedom = len(x_R) - 1
    half = t_quantile(0.975, freedom) * math.sqrt(float(left_R @ left_R) / freedom / float(x_R @ x_R))
    return slope, Interval(slope - half, slope + half), 1 - float(left_R @ left_R) / about if about else math.nan
