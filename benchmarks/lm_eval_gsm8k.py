"""The verdicts of lm-evaluation-harness' gsm8k task: its own filters, metric and settings do the work.

Run by the Python that has it, since it may need other versions than rltk does: JSON `[[completion, gold], ...]` on
stdin, `{"version": ..., "verdicts": {filter: [bool, ...]}}` on stdout.
"""

# pyright: reportMissingImports=false
# lm_eval and yaml are in an environment of their own.

import json
import sys
from importlib import metadata, resources
from typing import Any

import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters import build_filter_ensemble

OF_METRIC = ("ignore_case", "ignore_punctuation", "regexes_to_ignore")


def main() -> None:
    pairs: list[tuple[str, str]] = json.load(sys.stdin)
    task = yaml.safe_load(resources.files("lm_eval").joinpath("tasks/gsm8k/gsm8k.yaml").read_text())
    (metric,) = task["metric_list"]
    settings = {key: metric[key] for key in OF_METRIC}
    verdicts = {flow["name"]: judge(flow, settings, pairs) for flow in task["filter_list"]}
    print(json.dumps({"version": metadata.version("lm_eval"), "verdicts": verdicts}))


def judge(flow: dict[str, Any], settings: dict[str, Any], pairs: list[tuple[str, str]]) -> list[bool]:
    """Whether what the filters leave of each completion is an exact match of a solution that ends in `#### gold`."""
    name = flow["name"]
    steps = [(step["function"], {key: step[key] for key in step if key != "function"}) for step in flow["filter"]]
    asked = [Instance("generate_until", {}, ("", {}), 0, resps=[completion]) for completion, _ in pairs]
    build_filter_ensemble(name, steps).apply(asked)
    answers = [instance.filtered_resps[name] for instance in asked]
    golds = [f"#### {gold}" for _, gold in pairs]
    matches = [exact_match_hf_evaluate([a], [g], **settings) for a, g in zip(answers, golds, strict=True)]
    return [bool(match["exact_match"]) for match in matches]


if __name__ == "__main__":
    main()
