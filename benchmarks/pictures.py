"""How long pictures take: their text, and with it the layout of whatever engine is installed; and how long
the flow of residuals takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.train.config import Config
from tinygrad_rnn.train.run import LOOKS, Run

from . import timing
from .training import Task

BATCH, INPUT, HIDDEN = 4, 16, 32


def loss_of(steps: int) -> Any:
    """A residual that comes from the last step of an LSTM, compiled."""
    layer = tg.nn.LSTM(INPUT, HIDDEN)
    y, _ = layer(
        tg.tensor(np.random.default_rng(0).standard_normal((steps, BATCH, INPUT)).astype(np.float32))
    )
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
        "20 steps, every operation, gains": (
            lambda: tg.draw(few, view="ops", gains=True, max_nodes=1000),
            1.0,
        ),
        'view="steps" of 1,000 steps': (lambda: tg.draw(many, view="steps"), 0.5),
        'view="cells" of 1,000 steps': (lambda: tg.draw(many, view="cells"), 0.5),
    }


def heat_map() -> float:
    """The flow of 10,000 steps of one sequence and its heat map, in seconds, once."""
    layer = tg.nn.LSTM(8, 16)
    y, _ = layer(tg.tensor(np.random.default_rng(0).standard_normal((10_000, 1, 8)).astype(np.float32)))
    loss = tg.sum(y * y)
    tg.flow(loss_of(2)).heatmap()  # imports matplotlib
    begin = time.perf_counter()
    tg.flow(loss).heatmap()
    return time.perf_counter() - begin


def look() -> float:
    """What a look at the residuals every so many updates adds to training, as a share."""
    config = Config(steps=1_000_000)
    task, run = Task(config), Run(Path(), config, config.corpus(), config.maker(None))
    found = timing.medians(
        {"updates": lambda: task.updates(LOOKS), "look": lambda: run.flow(readers=1, states_only=True)}
    )
    return found["look"] / found["updates"]


def main() -> None:
    print(f"pictures, seconds: text (limit), text and SVG\n{timing.machine()}")
    for name, (draw, limit) in pictures().items():
        found = timing.medians({"text": draw, "svg": lambda draw=draw: draw().svg()}, seconds=0.5)
        text, svg = found["text"] / 1e3, found["svg"] / 1e3
        print(f"  {name:<36}{text:8.3f}  ({limit}{'' if text <= limit else ', missed'}){svg:10.3f}")
    seconds, share = heat_map(), look()
    print(f"  flow and heat map of 10,000 steps   {seconds:8.3f}  (5.0{'' if seconds <= 5 else ', missed'})")
    print(
        f"  a look every {LOOKS} updates of training {share:9.1%}  (5 %{'' if share <= 0.05 else ', missed'})"
    )


if __name__ == "__main__":
    main()
