"""How a loop over time is run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy


@dataclass(frozen=True, eq=False)
class ScanOptions:
    """What :func:`tinygrad_rnn.scan` is told beside the cell and its tensors.

    Attributes:
        reverse: from the last step to the first.
        live: (T, B) booleans on the host: the steps that count for each sample; None if all do.
        masked_output: what comes out at a step that does not count: "zero" or "previous".
        checkpoint: how many steps are kept at a time; "auto" as many as fit; None for all of them.
    """

    reverse: bool = False
    live: numpy.ndarray | None = None
    masked_output: str = "zero"
    checkpoint: int | str | None = None

    @property
    def repeats(self) -> bool:
        """Whether an output comes from the step before."""
        return self.live is not None and self.masked_output == "previous"

    def keeping(self, checkpoint: int | str | None) -> ScanOptions:
        """The same with so many steps kept at a time."""
        return replace(self, checkpoint=checkpoint)

    def unmasked(self, reverse: bool) -> ScanOptions:
        """The same of a loop that takes its masks as inputs, or has none."""
        return ScanOptions(reverse, checkpoint=self.checkpoint)
