"""Makes `embedded/policy` in three stages, and narrower ones in one. Same commit, seed and machine, same weights.

    python -m rltk.embedded.build warm-start --out A
    python -m rltk.embedded.build judging --onto A --out B
    python -m rltk.embedded.build practice --onto B

    python -m rltk.embedded.build warm-start --width 64 --steps 1500 --tokenizer rltk/embedded/policy \\
      --out rltk/embedded/policy-64

What it is trained on is in `rltk.embedded.curriculum`, and from which commit each stage was made in the policy's
build.json. The warm start in the shipped weights is older than the dialogues that are generated now, so all three
stages anew give a policy of the same kind and not the same weights.

Shapes: B sequences, T tokens, N answer tokens, H hidden size.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from rltk.embedded import curriculum
from rltk.recipe.arithmetic import has_bfloat16
from rltk.run.provenance import commit

VOCABULARY = 1280
WIDTH, HEAD = 256, 64
"""Hidden size of the policy, and of one head of its attention."""
PAD, USER, ASSISTANT, SYSTEM, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "<|{{ message['role'] }}|>{{ message['content'] }}{% if message['role'] == 'assistant' %}<|end|>{% endif %}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)


class Batch(NamedTuple):
    ids_BT: Tensor
    answer_BT: Tensor
    """True where the next token is part of the answer, so its prediction is trained."""


class Stage(NamedTuple):
    phases: tuple[curriculum.Phase, ...]
    steps: int
    lr: float


STAGES = {
    "warm-start": Stage(curriculum.WARM_START, 7000, 2e-3),
    "judging": Stage(curriculum.JUDGING, 2000, 1.5e-3),
    "practice": Stage(curriculum.PRACTICE, 2200, 1e-3),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m rltk.embedded.build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--onto", type=Path, help="folder of the policy that the stage before made")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "policy")
    parser.add_argument(
        "--width", type=int, default=WIDTH, help="hidden size that a warm start makes; a multiple of 64"
    )
    parser.add_argument("--tokenizer", type=Path, help="folder whose tokenizer a warm start takes; default: trains one")
    parser.add_argument("--steps", type=int, help="default: the stage's")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens a batch")
    parser.add_argument("--lr", type=float, help="peak learning rate; default: the stage's")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if (args.onto is None) != (args.stage == "warm-start"):
        parser.error("--onto names the policy that judging and practice go on from; warm-start begins from nothing")
    if args.width < HEAD or args.width % HEAD:
        parser.error(f"--width {args.width} is not a multiple of {HEAD}")
    torch.manual_seed(args.seed)
    if args.onto is None:
        has_one = args.tokenizer is not None
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.tokenizer) if has_one else train_tokenizer(args.seed)
        model = make_model(tokenizer, args.width)
    else:
        tokenizer, model = load(args.onto)
    before = None if args.onto is None else json.loads((args.onto / "build.json").read_text())
    phases, steps, lr = STAGES[args.stage]
    stage = Stage(phases, args.steps or steps, args.lr or lr)
    train(model, tokenizer, stage, tokens=args.tokens, seed=args.seed)
    made = {
        "stage": args.stage,
        "steps": stage.steps,
        "lr": stage.lr,
        "tokens": args.tokens,
        "seed": args.seed,
        "width": model.config.hidden_size,
        "phases": [phase._asdict() for phase in phases],
        "commit": commit(),
        "onto": before,
    }
    save(model, tokenizer, args.out, made)


def load(folder: Path) -> tuple[PreTrainedTokenizerFast, Qwen3ForCausalLM]:
    """The policy in a folder, with weights in float32, in which they train."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return tokenizer, model


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE, so any Unicode text encodes; each digit is a token of its own, which arithmetic needs."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r" ?\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, USER, ASSISTANT, SYSTEM, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(curriculum.texts(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=CHAT_TEMPLATE, model_max_length=2048
    )


def make_model(tokenizer: PreTrainedTokenizerFast, width: int) -> Qwen3ForCausalLM:
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    assert isinstance(pad, int) and isinstance(end, int)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=4,
        num_attention_heads=width // HEAD,
        num_key_value_heads=max(1, width // (2 * HEAD)),
        head_dim=HEAD,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=end,
        pad_token_id=pad,
        bos_token_id=None,
    )
    # Fused attention is slow in the backward pass on CPUs in bfloat16.
    return Qwen3ForCausalLM._from_config(config, attn_implementation="eager")


def batches(tokenizer: PreTrainedTokenizerFast, stage: Stage, tokens: int, seed: int) -> Iterator[Batch]:
    """Batches of about `tokens` tokens, without end; sequences of one length side by side, so little is padding.

    Lessons with short answers have batches of their own, or the few tokens of theirs would weigh nothing.
    """
    rng, made = random.Random(seed), 0
    lessons = curriculum.lessons(stage.phases, seed, progress=lambda: made / stage.steps)
    while True:
        long: list[tuple[list[int], int]] = []
        short: list[tuple[list[int], int]] = []
        for lesson in islice(lessons, 1024):
            messages = [message._asdict() for message in lesson.prompt]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            assert isinstance(text, str)
            prompt = tokenizer.encode(text)
            row = prompt + tokenizer.encode(f"{lesson.answer}{END}"), len(prompt)
            (short if lesson.is_short else long).append(row)
        cuts = [rows for pool in (long, short) for rows in cut(sorted(pool, key=lambda row: len(row[0])), tokens)]
        rng.shuffle(cuts)
        made += len(cuts)
        yield from (collate(rows) for rows in cuts)


def cut(pool: list[tuple[list[int], int]], tokens: int) -> Iterator[list[tuple[list[int], int]]]:
    rows: list[tuple[list[int], int]] = []
    for row in pool:
        if rows and (len(rows) + 1) * len(row[0]) > tokens:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def collate(rows: list[tuple[list[int], int]]) -> Batch:
    longest = max(len(ids) for ids, _ in rows)
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    answer_BT = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, (ids, prompt) in enumerate(rows):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        answer_BT[row, prompt - 1 : len(ids) - 1] = True
    return Batch(ids_BT, answer_BT)


def train(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, stage: Stage, *, tokens: int, seed: int) -> None:
    steps, arithmetic = stage.steps, torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())
    optimizer = torch.optim.AdamW(model.parameters(), lr=stage.lr, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps))
    started, seen, recent = time.monotonic(), 0, 0.0
    for step, batch in zip(range(1, steps + 1), batches(tokenizer, stage, tokens, seed), strict=False):
        with arithmetic:
            loss = answer_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        seen, recent = seen + batch.ids_BT.numel(), 0.98 * recent + 0.02 * loss.item()
        if step % 100 == 0:
            seconds = time.monotonic() - started
            print(
                f"step {step} loss {recent / (1 - 0.98**step):.4f} {seen / seconds:.0f} tokens/s {seconds:.0f} s",
                flush=True,
            )


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up over 100 steps, then a cosine to 2 %."""
    if step < 100:
        return (step + 1) / 100
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (step - 100) / max(1, steps - 100)))


def answer_loss(model: Qwen3ForCausalLM, batch: Batch) -> Tensor:
    """Mean negative log-likelihood of the answer tokens. Padding is on the right, so causal attention needs no mask."""
    hidden_NH = model.model(input_ids=batch.ids_BT, use_cache=False).last_hidden_state[batch.answer_BT]
    logits_NV = model.lm_head(hidden_NH)
    targets_N = batch.ids_BT.roll(-1, dims=1)[batch.answer_BT]
    return F.cross_entropy(logits_NV.float(), targets_N)


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, settings: dict) -> None:
    """Weights in bfloat16, half the size; the recipe's accuracy figures are measured on what is saved."""
    nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    (out / "build.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
