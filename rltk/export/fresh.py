"""A process that knows nothing of rltk: loads a folder with transformers and PEFT alone and writes its logits.

python fresh.py FOLDER REQUEST ANSWER, where REQUEST is JSON with `ids`, a list of token lists, `tokens`, how many
tokens to write greedily after each (0: none), `trust_remote_code`, and `quantize`, what the base of an adapter is held
in. ANSWER becomes a safetensors file: `logits.I` of each list, [T, V] in float32 (of a reward model its score, [1]),
and `completion.I` where tokens were asked for.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig


def load(folder: str, trust: bool, quantize: str | None) -> Any:
    """In float32, or in four bits, beneath an adapter; a whole model as it was saved."""
    options: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": trust}
    if (Path(folder) / "adapter_config.json").exists():
        config = PeftConfig.from_pretrained(folder)
        is_classifier = config.task_type == "SEQ_CLS"
        labels = {"num_labels": 1} if is_classifier else {}
        if quantize is not None:
            options |= {"quantization_config": four_bits(quantize), "device_map": {"": "cpu"}}
        base = kind(is_classifier).from_pretrained(
            config.base_model_name_or_path, revision=config.revision, dtype=torch.float32, **labels, **options
        )
        for module in base.modules():  # or some CPUs round the numbers that they compute with
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        return PeftModel.from_pretrained(base, folder).eval()
    architectures = AutoConfig.from_pretrained(folder, trust_remote_code=trust).architectures or []
    is_classifier = any("SequenceClassification" in name for name in architectures)
    return kind(is_classifier).from_pretrained(folder, dtype="auto", **options).eval()


def four_bits(quantize: str) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantize,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )


def kind(is_classifier: bool) -> Any:
    return AutoModelForSequenceClassification if is_classifier else AutoModelForCausalLM


def answer(model: Any, request: dict[str, Any]) -> dict[str, Tensor]:
    found = {}
    for index, ids in enumerate(request["ids"]):
        ids_1T = torch.tensor([ids])
        found[f"logits.{index}"] = model(input_ids=ids_1T).logits[0].float().contiguous()
        if request["tokens"]:
            options = {"attention_mask": torch.ones_like(ids_1T), "do_sample": False}
            written_1T = model.generate(input_ids=ids_1T, max_new_tokens=request["tokens"], **options)
            found[f"completion.{index}"] = written_1T[0, len(ids) :].contiguous()
    return found


if __name__ == "__main__":
    with torch.no_grad():
        request = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        save_file(answer(load(sys.argv[1], request["trust_remote_code"], request["quantize"]), request), sys.argv[3])
