"""What ``wheels.py`` runs in a fresh environment: the installed package trains an LSTM in machine code and
draws it."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

assert Path(tg.__file__).is_relative_to(sys.prefix), f"not the installed package: {tg.__file__}"
assert tg.__version__ == importlib.metadata.version("tinygrad_rnn")

tg.random.seed(0)
layer = tg.nn.LSTM(2, 16, compiled=True)  # an error if it is no machine code
readout = tg.nn.Linear(16, 1)
optimizer = tg.optim.Adam([*layer.parameters(), *readout.parameters()], lr=0.02)
x = tg.tensor(np.random.default_rng(0).normal(size=(10, 32, 2)), "float32")
losses = []
for _ in range(30):
    outputs, _ = layer(x)
    loss = tg.mse_loss(readout(outputs[-1]), tg.sum(x[-3:, :, :1], axis=0))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < 0.5 * losses[0], losses

picture = tg.draw(loss, view="steps")
assert picture.dot.startswith("digraph"), picture.dot
assert "<svg" in picture.html(), "the page lacks its picture"
print(f"{tg.__version__}, loss {losses[0]:.2f} to {losses[-1]:.2f}")
