"""A decode step as a CUDA graph: one launch for its thousand kernels, which take longer to launch than to run.

A graph repeats the same kernels on the same memory, so it serves as long as no completion enters or leaves and the
cache does not grow; then it is captured anew. Shapes: B rows still decoded, H hidden size.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Run = Callable[[Tensor, Tensor], Tensor]
"""Token and position of each row, [B] each, to the hidden states that predict the next tokens, [B, H]."""
CLOSE = 2e-2
"""By which a replay may differ from the step it was captured from, relative to the largest value: rounding."""


class CapturedStep:
    """`run` as it was when captured; it must read and write the same memory every time.

    `pool` is memory that graphs take turns with, by torch's own opaque handle.
    """

    def __init__(self, run: Run, tokens_B: Tensor, positions_B: Tensor, pool: Any) -> None:
        self.tokens_B, self.positions_B = tokens_B.clone(), positions_B.clone()
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):  # libraries set themselves up at their first call, which no graph may hold
            self.warm_BH = run(self.tokens_B, self.positions_B)
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            self.hidden_BH = run(self.tokens_B, self.positions_B)

    def __call__(self, tokens_B: Tensor, positions_B: Tensor) -> Tensor:
        """Valid until the next call."""
        self.tokens_B.copy_(tokens_B)
        self.positions_B.copy_(positions_B)
        self.graph.replay()
        return self.hidden_BH

    def is_faithful(self) -> bool:
        """Whether a replay gives what the step itself gave; a graph of code that decides on the host does not."""
        self.graph.replay()
        largest = self.warm_BH.abs().max().clamp(min=1e-6)
        return bool(((self.hidden_BH - self.warm_BH).abs().max() / largest) <= CLOSE)
