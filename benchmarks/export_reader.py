"""What anyone does with an exported folder: no rltk, only transformers, PEFT and torch. `benchmarks.export` starts it.

    python export_reader.py FOLDER REQUEST ANSWER

REQUEST is JSON: `prompts` and `texts`, lists of token lists, and `max_new_tokens`. ANSWER becomes a file of torch's
with `completions`, greedy, a list for each prompt; `logits`, [T, V] in float32 for each text; and `modules`, the
packages that were imported.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM


def main() -> None:
    folder, request, answer = sys.argv[1:]
    asked, model = json.loads(Path(request).read_text()), load(folder)
    with torch.no_grad():
        found = {
            "completions": [complete(model, prompt, asked["max_new_tokens"]) for prompt in asked["prompts"]],
            "logits": [model(input_ids=torch.tensor([text])).logits[0].float() for text in asked["texts"]],
            "modules": sorted({name.partition(".")[0] for name in sys.modules}),
        }
    torch.save(found, answer)


def load(folder: str) -> Any:
    """An adapter on its base in float32, or a whole model as it was saved."""
    if (Path(folder) / "adapter_config.json").exists():
        return AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


def complete(model: Any, prompt: list[int], max_new_tokens: int) -> list[int]:
    ids_1T = torch.tensor([prompt])
    options = {"attention_mask": torch.ones_like(ids_1T), "do_sample": False, "max_new_tokens": max_new_tokens}
    return model.generate(input_ids=ids_1T, **options)[0, len(prompt) :].tolist()


if __name__ == "__main__":
    main()
