"""Recurrent layers beside PyTorch's over a grid of sizes, forward and backward of Σ y² in float32, T 50, I =
H; and other layers at a few.

A miss is an entry above 1 in this run; the machine decides over single ones, so look at those that are misses
in three runs of three.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import sequence, timing

T = 50
BATCHES, WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128), (32, 64, 128, 256, 512, 768)
OTHERS: dict[str, tuple[str, int, int, int, dict[str, Any]]] = {
    "2 layers": ("LSTM", 32, 128, 128, {"num_layers": 2}),
    "3 layers": ("GRU", 16, 64, 64, {"num_layers": 3}),
    "bidirectional": ("LSTM", 32, 128, 128, {"bidirectional": True}),
    "bidirectional, 2 layers": ("GRU", 16, 64, 128, {"bidirectional": True, "num_layers": 2}),
    "projected": ("LSTM", 32, 128, 256, {"proj_size": 64}),
    "batch first": ("LSTM", 32, 128, 128, {"batch_first": True}),
    "float64": ("LSTM", 32, 128, 128, {"dtype": "float64"}),
    "narrow input": ("LSTM", 32, 16, 256, {}),
    "wide input": ("GRU", 32, 512, 64, {}),
    "odd": ("LSTM", 7, 33, 65, {}),
    "odd and few": ("GRU", 3, 17, 129, {}),
    "one unit": ("LSTM", 32, 1, 1, {}),
}
"""Kind, batch, inputs, units, and options."""

Run = Callable[[], object]


def _ratio(pair: tuple[Run, Run], seconds: float) -> float:
    ours, theirs = pair
    a, b = float(ours().item()), float(theirs().item())  # type: ignore[attr-defined]
    assert abs(a - b) <= 1e-3 * abs(b) + 1e-6, f"they compute different losses: {a}, {b}"
    found = timing.medians({"ours": ours, "theirs": theirs}, seconds)
    return found["ours"] / found["theirs"]


def main(seconds: float = 0.3) -> None:
    print(f"T {T}, I = H, forward + backward, float32: ours / torch.nn's\n{timing.machine()}")
    for kind in ("LSTM", "GRU", "RNN"):
        print(f"{kind:>8}  " + "".join(f"H {width:<6}" for width in WIDTHS))
        all_of_kind, missed = [], 0
        for batch in BATCHES:
            ratios = [
                _ratio(sequence.layer_pair(kind, (T, batch, width, width)), seconds) for width in WIDTHS
            ]
            all_of_kind += ratios
            missed += sum(ratio > 1 for ratio in ratios)
            print(f"  B {batch:<6}" + "".join(f"{ratio:<8.2f}" for ratio in ratios), flush=True)
        mean = math.exp(sum(map(math.log, all_of_kind)) / len(all_of_kind))
        print(f"  geometric mean {mean:.2f}, {missed} of {len(all_of_kind)} above 1")
    print("other layers")
    for name, (kind, *size, options) in OTHERS.items():
        ratio = _ratio(sequence.layer_pair(kind, (T, *size), **options), seconds)  # type: ignore[arg-type]
        sizes = ", ".join(map(str, size))
        print(
            f"  {name:<26}{kind} B, I, H = {sizes:<16}{ratio:5.2f}{'' if ratio <= 1 else '  MISSED'}",
            flush=True,
        )
