"""The model card of an export, README.md of its folder: how to load it, what it scored, how it was made."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rltk_reward_models.card import HUB_ID, escaped

from rltk.export.source import CLASSIFIER, Source
from rltk.recipe.locate import expanded
from rltk.recipe.schema import LoRA

FORMS = {
    "adapter": "a LoRA adapter",
    "merged": "a LoRA adapter merged into its base",
    "model": "a model of which every weight was trained",
}
UNKNOWN = "not recorded"

PLACES = ("path", "tasks", "data_root", "dir", "nvme_dir", "token_file", "adapters")
"""Keys of a recipe that may name files and folders of a machine, in whatever section."""


class Form(NamedTuple):
    """How a score is written."""

    number: Callable[[float], str]
    unit: str


MEASURES = {
    "accuracy": Form(lambda share: f"{100 * share:.1f}", " %"),
    "reward": Form("{:.3f}".format, " reward"),
    "loss": Form("{:.4f}".format, " nats a token"),
}
"""What a score may be of."""


def render(source: Source, *, form: str, dtype: str, difference: float, texts: int) -> str:
    """The same text for the same run and export."""
    kind = "reward model" if source.is_reward_model else "policy"
    sections = [
        front_matter(source, form),
        f"# {escaped(source.recipe.name)}\n\nA {kind}: {FORMS[form]}, trained with rltk "
        f"({escaped(source.recipe.algo.type)}) from {link(source)}.",
        f"## Use\n\n```python\n{usage(source, form)}\n```{vllm_note(source, form)}",
        f"## Results\n\n{results(source.scores)}",
        *reward_sections(source),
        f"## Training\n\n{table(list(training(source)))}",
        f"## Export\n\nSaved in {dtype} and compared with the run on {texts} of its texts, loaded by plain "
        f"transformers{' and PEFT' if form == 'adapter' else ''} in another process: logits differ by at most "
        f"{difference:.3g}.",
        f"## Recipe\n\n```yaml\n{recipe_yaml(source)}```",
        "The license of the base model applies to what was made of it.",
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(source: Source, form: str) -> str:
    """YAML that the hub reads. JSON is YAML, and quotes whatever a name holds."""
    fields: dict[str, object] = {
        "library_name": "peft" if form == "adapter" else "transformers",
        "pipeline_tag": "text-classification" if source.is_reward_model else "text-generation",
        "tags": ["rltk", source.recipe.algo.type, source.recipe.tune.type],
    }
    if is_on_hub(source.recipe.model.path):
        fields["base_model"] = source.recipe.model.path
    if is_on_hub(source.recipe.data.path):
        fields["datasets"] = [source.recipe.data.path]
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"])


def is_on_hub(path: str) -> bool:
    is_local = path.startswith("embedded/") or os.path.exists(expanded(path))
    return not is_local and HUB_ID.fullmatch(path) is not None


def link(source: Source) -> str:
    path, revision = source.recipe.model.path, source.recipe.model.revision
    at = "" if revision is None else f" at revision {escaped(revision)}"
    return f"[{escaped(path)}](https://huggingface.co/{path}){at}" if is_on_hub(path) else f"{named(path)}{at}"


def named(path: str) -> str:
    """A local folder by its name alone: where it lay is nobody's business."""
    return escaped(path if path.startswith("embedded/") else Path(path).name)


def usage(source: Source, form: str) -> str:
    auto = "AutoModelForSequenceClassification" if source.is_reward_model else "AutoModelForCausalLM"
    where = '"this folder, or its hub id"'
    lines = [f"from transformers import {auto}, AutoTokenizer", "", f"folder = {where}"]
    if form == "adapter":
        base = source.recipe.model.path
        shown = base if is_on_hub(base) else f"the folder of {Path(base).name}"
        labels = ", num_labels=1" if source.is_reward_model else ""
        revision = source.recipe.model.revision
        at = "" if revision is None else f", revision={json.dumps(revision)}"
        lines[0:0] = ["from peft import PeftModel"]
        quantize = source.recipe.model.quantize
        if quantize is not None:
            lines[1] = f"from transformers import {auto}, AutoTokenizer, BitsAndBytesConfig"
            lines.append(f"held = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type={json.dumps(quantize)},")
            lines.append("                          bnb_4bit_use_double_quant=True)  # as in training")
        held = "" if quantize is None else ", quantization_config=held"
        lines.append(f"base = {auto}.from_pretrained({json.dumps(shown)}{at}{labels}{held})")
        lines.append("model = PeftModel.from_pretrained(base, folder)")
    else:
        lines.append(f'model = {auto}.from_pretrained(folder, dtype="auto")')
    return "\n".join([*lines, "tokenizer = AutoTokenizer.from_pretrained(folder)"])


def vllm_note(source: Source, form: str) -> str:
    """Which of its limits vLLM would meet here; nothing where it meets none."""
    reason = vllm_obstacle(source) if form == "adapter" else None
    return (
        "" if reason is None else f"\n\nvLLM does not load this adapter ({reason}); export it with `--merge` for that."
    )


def vllm_obstacle(source: Source) -> str | None:
    """Why vLLM would refuse the adapter, or load only a part of it; None if it takes it."""
    adapter = source.adapter or {}
    if adapter.get("task_type") == CLASSIFIER or adapter.get("modules_to_save"):
        return "it holds a score head that was trained whole"
    if adapter.get("target_parameters"):
        return "it adapts fused experts"
    if adapter.get("use_dora"):
        return "it is a DoRA adapter"
    if isinstance(adapter.get("init_lora_weights"), str) and str(adapter["init_lora_weights"]).startswith("pissa"):
        return "its start, PiSSA, changes the base too"
    return "its ranks differ between layers" if adapter.get("rank_pattern") else None


def results(scores: dict[str, Any]) -> str:
    rows = list(score_rows(scores))
    if not rows:
        return "Nothing was measured."
    return f"{table(rows, ('task', 'of what', 'before', 'after', 'n'))}\n\nIntervals are of 95 %."


def reward_sections(source: Source) -> Iterator[str]:
    """What the card of a reward model's run has measured: accuracy against length, calibration, length bias."""
    card = source.saved / "README.md"
    if source.is_reward_model and card.exists():
        _, heading, measured = card.read_text(encoding="utf-8").partition("## Pair accuracy")
        if heading:
            yield f"{heading}{measured}".strip()


def score_rows(scores: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    before = scores.get("before", {})
    for task, after in scores.get("after", {}).items():
        early = before.get(task, {})
        yield escaped(task), of_what(after), worth(early), worth(after), str(after.get("n", UNKNOWN))
        if "sampled" in after:
            late, early = after["sampled"], early.get("sampled", {})
            yield escaped(task), "sampled completions", worth(early), worth(late), str(late.get("n", UNKNOWN))


def of_what(score: dict[str, Any]) -> str:
    if "loss" in score:
        return "solutions that were held out"
    return "pairs" if "ties" in score else "greedy completions"


def worth(score: dict[str, Any]) -> str:
    """Accuracy in per cent, mean reward, or log-loss in nats a token, with its interval."""
    key = next((key for key in MEASURES if score.get(key) is not None), None)
    if key is None:
        return "not measured"
    form = MEASURES[key]
    low, high = score.get("ci95") or (None, None)
    interval = "" if low is None or high is None else f" [{form.number(low)}, {form.number(high)}]"
    return f"{form.number(score[key])}{form.unit}{interval}"


def training(source: Source) -> Iterator[tuple[str, str]]:
    manifest, recipe = source.manifest, source.recipe
    data = recipe.data.path if recipe.data.is_embedded or is_on_hub(recipe.data.path) else Path(recipe.data.path).name
    yield "what trained", known(manifest.get("tuned"))
    if isinstance(recipe.tune, LoRA):
        yield "LoRA", f"rank {recipe.tune.rank}, alpha {recipe.tune.alpha:g}, {escaped(str(recipe.tune.targets))}"
    yield "data", f"{escaped(data)} (hash {known(manifest.get('data_hash'))})"
    yield "steps", str(recipe.optim.steps)
    yield "learning rate", f"{manifest['lr']:.3g}" if isinstance(manifest.get("lr"), float) else UNKNOWN
    for name in ("seed", "recipe_hash", "commit", "started", "finished"):
        yield name.replace("_", " "), known(manifest.get(name))
    for name in ("versions", "hardware"):
        found = manifest.get(name)
        yield name, ", ".join(f"{key} {known(value)}" for key, value in found.items()) if found else UNKNOWN


def known(value: object) -> str:
    return UNKNOWN if value is None else escaped(str(value))


def recipe_yaml(source: Source) -> str:
    """As it was resolved, with local files and folders by their names alone."""
    recipe = without_places(source.manifest["recipe"])
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True).replace("```", "` ` `")


def without_places(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {inner: without_places(one, inner) for inner, one in value.items()}
    if isinstance(value, list):
        return [without_places(one, key) for one in value]
    is_place = key in PLACES and isinstance(value, str) and not value.startswith("embedded/") and not is_on_hub(value)
    return Path(value).name if is_place else value


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = ("", "")) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
