"""How long pictures take: their text, and with it the layout of whatever engine is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from . import timing

BATCH, INPUT, HIDDEN = 4, 16, 32


def loss_of(steps: int) -> Any:
    """A residual that comes from the last step of an LSTM, compiled."""
    layer = tg.nn.LSTM(INPUT, HIDDEN)
    y, _ = layer(tg.tensor(np.random.default_rng(0).standard_normal((steps, BATCH, INPUT)).astype(np.float32)))
    return tg.sum(y[-1])


def lstm_step() -> Any:
    cell = tg.nn.LSTMCell(INPUT, HIDDEN)
    h, c = (tg.tensor(np.ones((BATCH, HIDDEN), np.float32), requires_grad=True) for _ in range(2))
    return cell(tg.tensor(np.ones((BATCH, INPUT), np.float32)), (h, c))[1]


def pictures() -> dict[str, tuple[Callable[[], Any], float]]:
    """What is drawn, and the limit for its text in seconds."""
    one, few, many = lstm_step(), loss_of(20), loss_of(1000)
    return {
        "one LSTM step": (lambda: tg.draw(one), 0.05),
        "one LSTM step, gains": (lambda: tg.draw(one, gains=True), 0.05),
        "20 steps, every operation": (lambda: tg.draw(few, view="ops", max_nodes=1000), 1.0),
        "20 steps, every operation, gains": (lambda: tg.draw(few, view="ops", gains=True, max_nodes=1000), 1.0),
        'view="steps" of 1,000 steps': (lambda: tg.draw(many, view="steps"), 0.5),
        'view="cells" of 1,000 steps': (lambda: tg.draw(many, view="cells"), 0.5),
    }


def main() -> None:
    print(f"pictures, seconds: text (limit), text and SVG\n{timing.machine()}")
    for name, (draw, limit) in pictures().items():
        found = timing.medians({"text": draw, "svg": lambda draw=draw: draw().svg()}, seconds=1.0)
        text, svg = found["text"] / 1e3, found["svg"] / 1e3
        print(f"  {name:<36}{text:8.3f}  ({limit}{'' if text <= limit else ', missed'}){svg:10.3f}")


if __name__ == "__main__":
    main()
