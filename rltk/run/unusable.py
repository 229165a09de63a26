"""Steps that nothing was learned from, because their gradient was not finite; several in a row end a run.

A gradient that is merely long is scaled down (`optim.max_grad_norm`). One that is nan, infinite, or so large that its
norm is, as that of a loss that is no number, moves no weight: the step is skipped and counted in `skipped_updates`.
"""

from collections.abc import Sequence
from itertools import takewhile

from rltk.errors import UserError
from rltk.run.folder import Metrics

GIVE_UP_AFTER = 3
"""Steps in a row."""


def refuse_unusable(metrics: Sequence[Metrics], lr: float) -> None:
    """Ends a run whose last steps were all skipped, those before it was resumed included."""
    in_a_row = sum(1 for _ in takewhile(lambda row: row["skipped_updates"], reversed(metrics)))
    if in_a_row >= GIVE_UP_AFTER:
        raise UserError(
            f"the gradient was not finite in {GIVE_UP_AFTER} steps in a row, the last of them step "
            f"{metrics[-1]['step']}; lower optim.lr (now {lr:g})."
        )
