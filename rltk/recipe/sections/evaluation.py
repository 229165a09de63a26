"""The section `eval`: accuracy on what nothing trained on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rltk.recipe.fields import Count, Flag, Positive, Section, Text, Whole, broken_rule

EVAL_TASKS = ("heldout", "loss", "gsm8k", "math", "math500", "word-problems", "equations")
HELDOUT_LIKE = ("heldout", "word-problems", "equations")
"""Tasks that may have a validation split beside the test split."""
LOSS = "loss"
"""The task of a supervised run that is scored by the log-loss of held-out solutions, for which nothing is sampled."""
PREFERENCE_TASKS = ("hh-rlhf", "dialogues")
"""Preference pairs that reward models are evaluated on; heldout is the data of the recipe there too."""
EVAL_BLOCK = 256
"""Completions that an evaluation draws from one seed, and keeps, together."""


class Eval(Section):
    """Accuracy on problems that nothing trained on."""

    tasks: tuple[Text, ...] = ("heldout",)
    """heldout is the recipe's own data; or gsm8k, math, math500, word-problems, a folder or a file like the data; with
    algo.type sft also loss, the log-loss of the data's held-out solutions."""
    data_root: Text | None = None
    """Folder that holds data sets under their hub ids, such as openai/gsm8k, in place of the hub; null is the hub."""
    split: Literal["test", "validation"] = "test"
    """validation to choose settings by, test to report."""
    limit: Count | None = 1000
    """Problems a task, the first ones; null is all of them."""
    samples: Whole = 1
    """Sampled completions a problem beside the greedy one."""
    k: tuple[Count, ...] = ()
    """Draws of pass@k and maj@k among the sampled completions, such as [1, 4, 8]; none may exceed samples."""
    temperature: Positive = 1.0
    """Softmax temperature of the sampled completions."""
    every: Whole = 0
    """Steps between evaluations while training; 0 evaluates before and after only."""
    before: Flag = True
    """Evaluate the starting model too, so that there is something to compare with."""
    batch: Annotated[int, Field(strict=True, ge=1, le=EVAL_BLOCK)] = EVAL_BLOCK
    """Completions at once: less saves memory."""
    stop_on_overoptimisation: Flag = False
    """End training when the gold reward of held-out prompts has turned down while the reward that is trained on still
    rises; for embedded/dialogues, where gold is known, with eval.every."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Eval:
        if self.k and max(self.k) > self.samples:
            raise broken_rule(f"must not exceed eval.samples ({self.samples})", "k", "samples")
        return self
