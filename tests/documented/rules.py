"""How a documented command is tried: made small and run, or parsed and its recipe checked, with the reason.

The first rule whose pattern begins the command decides. `{policy}`, `{reward}` and `{other_...}` are runs made
beforehand.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.documented.pages import Command

SAMPLED = (
    "optim.steps=2 algo.prompts=2 algo.group=4 data.size=32 rollout.max_new_tokens=8 "
    "eval={limit: 4, samples: 0, every: 0}"
)
TAUGHT = "optim.steps=2 algo.batch=4 data.size=32 rollout.max_new_tokens=8 eval={limit: 4, samples: 0}"
PAIRS = "optim={steps: 2, warmup: 0} algo.batch=4 data.size=32 eval={limit: 16, every: 0}"
OWN_PAIRS = (
    "optim.steps=2 algo.batch=4 data.size=32 algo.samples=4 rollout.max_new_tokens=64 eval={limit: 4, samples: 0}"
)
COMPARED = (
    "algo.prompts=2 algo.group=4 rollout.max_new_tokens=8 compare.arms=[lora-1,full] compare.tuning_seeds=1 "
    "compare.confirmation_seeds=2 compare.rates={points: 1, most: 1} compare.margin.value=0.02 "
    "compare.base.optim.steps=2 compare.base.data.size=32 compare.base.eval.limit=4"
)
"""Two runs for the sweep and six for the verdict, which is that nothing can be said."""
GRID = "compare.arms=[lora-1,full] compare.scaling.data=[8,16] algo.batch=8 rollout.max_new_tokens=8 eval.limit=4"
WRITTEN = "--limit 16 --samples 4 --max-new-tokens 96"
ASKED = "--limit 4 --max-new-tokens 8"
HUB = "--data-root hub"
"""Data sets under their hub ids, of a few rows that `place.py` makes."""
PUSHES, CLUSTER, MANY = "needs an account of the hub", "needs a Ray cluster", "starts a process a GPU"


class Rule(NamedTuple):
    pattern: str
    more: str = ""
    """Appended where it is run."""
    not_run: str = ""
    """Why it is parsed and checked only; empty where it is run."""
    swaps: tuple[tuple[str, str], ...] = ()
    """Words of the reader's own, and what stands for them."""
    is_server: bool = False
    """Run in a process of its own, asked once, and ended by SIGTERM."""


RUN = (("RUN", "{policy}"), ("RUN_A", "{policy}"), ("RUN_B", "{other_policy}"))
REWARD = (("RUN", "{reward}"), ("OTHER", "{other_reward}"))
JUDGED = (("A", "{policy}"), ("B", "{other_policy}"), ("RUN", "{reward}"))
SMALL_MODEL = (("Qwen/Qwen3-0.6B", "embedded/policy"), ("Qwen/Qwen3-1.7B", "embedded/policy"))
QUICK = (("LR-3", "LAY-0"),)
"""Of the same tier, and no minutes."""
RULES = (
    Rule("rltk train .*hardware.(processes|nodes)", not_run=f"{MANY}; the tests of distributed/ start two"),
    Rule("rltk launch .*--print"),
    Rule(r"rltk train \S+ --resume"),
    Rule("rltk train recipes/hh_ppo.*--stop-on", f"{SAMPLED} eval.every=1", swaps=REWARD),
    Rule("rltk train recipes/hh_ppo", SAMPLED, swaps=REWARD),
    Rule("rltk train recipes/(hh_dpo|hh_reward_model)", PAIRS),
    Rule("rltk train recipes/gsm8k_dpo", OWN_PAIRS),
    Rule("rltk train recipes/gsm8k_sft", TAUGHT),
    Rule("rltk train chat_sft.yaml", "optim.steps=2"),
    Rule("rltk train recipes/gsm8k_ppo|rltk train recipes/gsm8k_grpo|rltk train brief.yaml", SAMPLED),
    Rule("rltk compare .*--dry-run"),
    Rule("rltk (compare|scaling run) .*--on", not_run=f"{CLUSTER}; tests/compare/test_cluster.py starts one"),
    Rule("rltk compare", COMPARED),
    Rule("rltk report runs/compare"),
    Rule("rltk findings", swaps=QUICK),
    Rule("rltk scaling run", f"{GRID} --out grid"),
    Rule("rltk scaling fit", "--draws 10"),
    Rule("rltk plan"),
    Rule("rltk eval .*math500", f"{ASKED} {HUB}", swaps=RUN),
    Rule("rltk eval .*--judge .*hh-rlhf", f"{ASKED} {HUB}", swaps=JUDGED),
    Rule("rltk eval .*hh-rlhf", f"--limit 8 {HUB}", swaps=REWARD),
    Rule("rltk eval .*--judge", "--limit 8"),
    Rule("rltk eval .*--task dialogues", "--limit 16"),
    Rule("rltk eval", ASKED, swaps=RUN),
    Rule("rltk audit run", swaps=RUN),
    Rule("rltk audit gold math", HUB),
    Rule("rltk audit gold"),
    Rule("rltk sample RUN --task gsm8k", f"{WRITTEN} {HUB}", swaps=RUN),
    Rule("rltk sample", WRITTEN),
    Rule("rltk check .*--profile none", swaps=SMALL_MODEL),
    Rule("rltk check"),
    Rule("rltk runs"),
    Rule("rltk watch", "--once"),
    Rule("rltk report", swaps=RUN),
    Rule("rltk chat", "--max-new-tokens 4", swaps=RUN),
    Rule("rltk serve-reward", "--port 0", swaps=REWARD, is_server=True),
    Rule("rltk serve", "--port 0", swaps=(*RUN, *SMALL_MODEL), is_server=True),
    Rule("rltk export .*--push", not_run=f"{PUSHES}; tests/export has a hub of its own"),
    Rule("rltk export", swaps=RUN),
    Rule("rltk (doctor|recipes|schema|completion)"),
)


def rule_for(command: Command) -> Rule:
    return next(rule for rule in RULES if re.match(rule.pattern, command.text.replace("'", "")))
