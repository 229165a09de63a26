"""Whether an exported folder computes what the run computes: its logits in a fresh process beside the run's own.

Shapes: T tokens of one text, V vocabulary.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from rltk.errors import UserError
from rltk.export import fresh
from rltk.export.source import Source
from rltk.recipe.schema import Model
from rltk.run.folder import read_jsonl

TEXTS, TOKENS = 4, 32
"""How many texts of the run are compared, and how many tokens of each."""
FALLBACK = ("A farmer has 12 hens and sells 5 of them. How many are left?", "The answer is that it depends.")
"""Where a run has no items."""
CLOSE = 1e-4
"""By which float32 logits may differ, relative to the largest: sums are taken in another order."""


def probes(source: Source, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of some of the run's own texts: prompts with completions, as it was evaluated last."""
    files = sorted((source.run / "items").glob("after-*.jsonl"))
    rows = [row for file in files for row in read_jsonl(file)[:TEXTS]]
    texts = [f"{row.get('prompt', '')}{row.get('completion', '')}" for row in rows[:TEXTS]]
    known = len(tokenizer)
    encoded = [tokenizer.encode(text, add_special_tokens=False)[-TOKENS:] for text in texts if text] or [
        tokenizer.encode(text, add_special_tokens=False)[-TOKENS:] for text in FALLBACK
    ]
    return [ids for ids in encoded if ids and max(ids) < known]


def logits_of(model: nn.Module, ids: list[list[int]]) -> list[Tensor]:
    """[T, V] for each text, in float32; of a reward model its score, [1]."""
    with torch.no_grad():
        return [model(input_ids=torch.tensor([one])).logits[0].float() for one in ids]


def fresh_logits(folder: Path, ids: list[list[int]], model: Model) -> list[Tensor]:
    """The same of what lies in `folder`, by plain transformers and PEFT in a process of their own."""
    found = ask_fresh(folder, ids, model, tokens=0)
    return [found[f"logits.{index}"] for index in range(len(ids))]


def ask_fresh(folder: Path, ids: list[list[int]], model: Model, *, tokens: int) -> dict[str, Tensor]:
    asked = {"ids": ids, "tokens": tokens, "trust_remote_code": model.trust_remote_code, "quantize": model.quantize}
    with TemporaryDirectory() as scratch:
        request, answer = Path(scratch) / "request.json", Path(scratch) / "answer.safetensors"
        request.write_text(json.dumps(asked))
        command = [sys.executable, str(Path(fresh.__file__)), str(folder), str(request), str(answer)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not answer.exists():
            reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise UserError(f"plain transformers cannot load what was exported ({reason}); nothing was written.")
        return load_file(answer)


def largest_difference(expected: list[Tensor], found: list[Tensor]) -> float:
    """Of any logit of any text; nan where a logit is no number."""
    differences = [(one - other).abs().max() for one, other in zip(expected, found, strict=True)]
    return float(torch.stack(differences).max())  # Python's max would pass over a nan that is not the first


def refuse_unfaithful(expected: list[Tensor], found: list[Tensor], *, is_exact: bool) -> float:
    """The largest difference. Only a cast may make it large, and nothing may make it undefined."""
    if any(one.shape != other.shape for one, other in zip(expected, found, strict=True)):
        raise UserError("what was exported gives logits of another shape than the run; nothing was written.")
    difference = largest_difference(expected, found)
    bound = CLOSE * max(1.0, *(float(one.abs().max()) for one in expected))
    if not difference <= (bound if is_exact else float("inf")):
        raise UserError(
            f"what was exported does not compute what the run computes (logits differ by {difference:.3g}, in float32 "
            f"at most {bound:.3g} is rounding); nothing was written."
        )
    return difference
