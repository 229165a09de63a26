"""The section `algo`: what learns, from completions of its own or from data that is there beforehand."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rltk.recipe.sections.offline import DPO, SFT, RewardModel
from rltk.recipe.sections.onpolicy import GRPO, PPO, RLOO

Algo = Annotated[GRPO | RLOO | PPO | SFT | RewardModel | DPO, Field(discriminator="type")]
