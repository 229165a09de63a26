"""The loss of a reward model. Shapes: B pairs of completions, the chosen and the rejected one of the same prompt."""

from torch import Tensor, nn


def bradley_terry_loss(
    chosen_B: Tensor, rejected_B: Tensor, margin_B: Tensor | None = None, centring: float = 0.0
) -> Tensor:
    """Mean of -log sigmoid(chosen - rejected - margin), plus centring * mean((chosen + rejected)^2); a scalar.

    The pairs leave a constant free that may differ for every prompt; `centring` pulls the scores towards zero mean:
    Eisenstein et al. 2023, https://arxiv.org/abs/2312.09244, equation 2 (TRL recommends 0.01). The margin says by how
    much the chosen one should win: Touvron et al. 2023, https://arxiv.org/abs/2307.09288, section 3.2.2.
    """
    _check_shapes(chosen_B, rejected_B, margin_B)
    lead_B = chosen_B - rejected_B if margin_B is None else chosen_B - rejected_B - margin_B
    loss = -nn.functional.logsigmoid(lead_B).mean()
    return loss + centring * (chosen_B + rejected_B).square().mean() if centring else loss


def _check_shapes(chosen_B: Tensor, rejected_B: Tensor, margin_B: Tensor | None) -> None:
    # [B] against [B, 1] would broadcast to [B, B] and train on pairs that nobody labelled.
    shapes = [tuple(scores_B.shape) for scores_B in (chosen_B, rejected_B, margin_B) if scores_B is not None]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(f"chosen, rejected and margin must all have shape (B,); got {shapes}")
    if shapes[0] == (0,):
        raise ValueError("a batch without pairs has no loss")
