"""How a documented command is tried: made small and run, or parsed and its recipe checked, with the reason.

The first rule whose pattern begins the command decides. `{policy}` and `{reward}` are runs made beforehand.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.documented.pages import Command

SAMPLED = "optim.steps=2 algo.prompts=2 algo.group=4 rollout.max_new_tokens=8 eval={limit: 4, samples: 0, every: 0}"
TAUGHT = "optim.steps=2 algo.batch=4 data.size=32 rollout.max_new_tokens=8 eval={limit: 4, samples: 0}"
PAIRS = "optim={steps: 2, warmup: 0} algo.batch=4 eval={limit: 16, every: 0}"
OWN_PAIRS = (
    "optim.steps=2 algo.batch=4 data.size=32 algo.samples=4 rollout.max_new_tokens=64 eval={limit: 4, samples: 0}"
)
NETWORK, BUSY, SAME, SLOW = "needs a data set of the hub", "ends when it is told to", "as others that run", "takes long"
MANY, ELSEWHERE = "starts several processes", "run by the tests of export"


class Rule(NamedTuple):
    pattern: str
    more: str = ""
    """Appended where it is run."""
    not_run: str = ""
    """Why it is parsed and checked only; empty where it is run."""
    swaps: tuple[tuple[str, str], ...] = ()
    """Words of the reader's own, and what stands for them."""


RUN = (("RUN", "{policy}"),)
REWARD = (("RUN", "{reward}"),)
RULES = (
    Rule("rltk train .* (tune.rank=1|algo.scale=group|data.path=pairs.jsonl --profile)", not_run=SAME),
    Rule("rltk train .*--stop-on-over", not_run=SAME),
    Rule("rltk train .*data.path=pairs.jsonl data.kind|rltk sample embedded/policy .*--out pairs.jsonl", not_run=SAME),
    Rule("rltk train .*hardware.(processes|nodes)", not_run=MANY),
    Rule("rltk launch .*--print"),
    Rule(r"rltk train \S+ --resume"),
    Rule("rltk train recipes/hh_ppo", f"{SAMPLED} data.size=32", swaps=REWARD),
    Rule("rltk train recipes/(hh_dpo|hh_reward_model)", PAIRS),
    Rule("rltk train recipes/gsm8k_dpo", OWN_PAIRS),
    Rule("rltk train recipes/gsm8k_sft", TAUGHT),
    Rule("rltk train recipes/gsm8k_ppo|rltk train recipes/gsm8k_grpo|rltk train brief.yaml", SAMPLED),
    Rule("rltk compare .*--dry-run"),
    Rule("rltk compare", not_run=SLOW),
    Rule("rltk report runs/compare", not_run=SLOW),
    Rule("rltk findings", not_run=SLOW),
    Rule("rltk scaling run", not_run=SLOW),
    Rule("rltk scaling fit", "--draws 10"),
    Rule("rltk plan .*Qwen|rltk plan .*--profile none", not_run="needs the hub's config of the model"),
    Rule("rltk plan"),
    Rule("rltk eval .*(math500|hh-rlhf)", not_run=NETWORK),
    Rule("rltk eval .*--judge", "--limit 8"),
    Rule("rltk eval .*--task dialogues", "--limit 16"),
    Rule("rltk eval", "--limit 4 --max-new-tokens 8", swaps=RUN),
    Rule("rltk audit run", swaps=RUN),
    Rule("rltk audit gold math", not_run=NETWORK),
    Rule("rltk audit gold"),
    Rule("rltk sample RUN --task gsm8k", not_run=NETWORK),
    Rule("rltk check .*--profile none", not_run=NETWORK),
    Rule("rltk check"),
    Rule("rltk runs"),
    Rule("rltk watch", "--once"),
    Rule("rltk report", swaps=RUN),
    Rule("rltk chat", "--max-new-tokens 4", swaps=RUN),
    Rule("rltk serve", not_run=BUSY),
    Rule("rltk export .*(--push|--merge)|rltk export runs/", not_run=ELSEWHERE),
    Rule("rltk export", swaps=RUN),
    Rule("rltk doctor --torch", not_run=SAME),
    Rule("rltk (doctor|recipes|schema|completion)"),
)


def rule_for(command: Command) -> Rule:
    return next(rule for rule in RULES if re.match(rule.pattern, command.text.replace("'", "")))
