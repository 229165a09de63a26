"""The configuration of an adapter that others load: its base named in full, whatever it was called while it trained."""

import json
from pathlib import Path
from typing import Any

from rltk.export.source import ADAPTER_CONFIG


def write_portable(folder: Path, config: dict[str, Any], *, base: str, revision: str | None) -> None:
    """The adapter's configuration, into its folder."""
    text = json.dumps(portable(config, base=base, revision=revision), indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG).write_text(f"{text}\n", encoding="utf-8")


def portable(config: dict[str, Any], *, base: str, revision: str | None) -> dict[str, Any]:
    """`adapter_config.json` for whoever only samples; `base` is a hub id or a whole path."""
    alpha = whole_where_possible(config["lora_alpha"])
    named = {"base_model_name_or_path": base, "revision": revision}
    return config | named | {"inference_mode": True, "lora_alpha": alpha}


def whole_where_possible(alpha: float) -> float | int:
    """Some readers expect a whole number, as PEFT's own type says."""
    return int(alpha) if float(alpha).is_integer() else alpha
