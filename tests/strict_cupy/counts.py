"""What the stand-in's device has done."""

from __future__ import annotations


class Counts:
    """What the device had to do: kernels started, and times that the host waited."""

    def __init__(self) -> None:
        self.launches = 0
        self.synchronisations = 0

    def reset(self) -> None:
        self.launches = self.synchronisations = 0


counts = Counts()
