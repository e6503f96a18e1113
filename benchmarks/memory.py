"""How much memory a training step needs: an LSTM, forward and backward, each contestant in a process of its
own. Linux only.

The loss is Σ y or Σ y² over all steps, or Σ h² of the last state. Of Σ y² come arrays as large as the
outputs, whatever the layer keeps: the squares, and the residuals of both factors.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from . import timing

T, B, H = 1000, 32, 256
SEGMENT = 32
"""Steps kept at a time with checkpoints: about √T."""
LOSSES = ("sum", "squares", "last squares")
LIMITS = (("ours", "torch", 1.0), ("checkpoint", "torch", 0.15))

Run = Callable[[Any], None]


def data(steps: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((steps, B, H)).astype(np.float32)


def ours(loss: str, checkpoint: int | None = None) -> tuple[Any, Run]:
    layer = tg.nn.LSTM(H, H, checkpoint=checkpoint)

    def run(x: Any) -> None:
        y, (h, _) = layer(x)
        seen = h if loss == "last squares" else y
        tg.sum(seen if loss == "sum" else seen * seen).backward()

    return tg.tensor, run


def checkpointed(loss: str) -> tuple[Any, Run]:
    return ours(loss, SEGMENT)


def theirs(loss: str) -> tuple[Any, Run]:
    import torch

    layer = torch.nn.LSTM(H, H)

    def run(x: Any) -> None:
        y, (h, _) = layer(x)
        seen = h if loss == "last squares" else y
        (seen if loss == "sum" else seen * seen).sum().backward()

    return torch.from_numpy, run


CONTESTANTS: dict[str, Callable[[str], tuple[Any, Run]]] = {
    "ours": ours,
    "checkpoint": checkpointed,
    "torch": theirs,
}


def status(field: str) -> float:
    """A size of this process in MiB, as the kernel counts it."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure_here(name: str, loss: str) -> float:
    """The peak of one forward and backward pass, in MiB above what weights and input take; code is loaded in
    a pass of two steps before."""
    tensor, run = CONTESTANTS[name](loss)
    x = tensor(data(T))
    run(tensor(data(2)))
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the peak so far does not count
    before = status("VmRSS")
    run(x)
    return status("VmHWM") - before


def measure(name: str, loss: str) -> float:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", name, loss]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    if not os.path.exists("/proc/self/clear_refs"):
        print("peak memory: only Linux lets a process forget its peak; nothing was measured")
        return
    print(
        f"peak memory of forward + backward, LSTM, T={T} B={B} I=H={H} float32, MiB above weights and "
        f"input\n{timing.machine()}"
    )
    for loss in LOSSES:
        found = {name: measure(name, loss) for name in CONTESTANTS}
        print(f"loss {loss}: " + ", ".join(f"{name} {size:.0f} MiB" for name, size in found.items()))
        for one, other, limit in LIMITS:
            ratio = found[one] / found[other]
            print(f"  {one + ' / ' + other:<20}{ratio:5.2f}  ({limit}{'' if ratio <= limit else ', missed'})")


if __name__ == "__main__":
    if sys.argv[1:]:
        print(measure_here(*sys.argv[1:]))
    else:
        main()
