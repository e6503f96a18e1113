"""A GRU merges forget and input gate into one, z and 1 − z, and has no output gate: three blocks of weights
where an LSTM has four."""

import sys
import time
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, BATCH, INPUTS, SIZES = 100, 16, 32, (16, 32, 64, 128)
BLOCKS = {"RNN": 1, "LSTM": 4, "PeepholeLSTM": 4, "GRU": 3}

parameters = {name: [] for name in BLOCKS}
for name, blocks in BLOCKS.items():
    for hidden in SIZES:
        count = sum(p.size for p in getattr(tg.nn, name)(INPUTS, hidden).parameters())
        peepholes = 3 * hidden if name == "PeepholeLSTM" else 0
        # W, U and PyTorch's two biases
        assert count == blocks * (INPUTS * hidden + hidden * hidden + 2 * hidden) + peepholes
        parameters[name].append(count)
assert np.array_equal(np.divide(parameters["GRU"], parameters["LSTM"]), [0.75] * len(SIZES))

x = np.random.default_rng(0).normal(size=(T, BATCH, INPUTS)).astype("float32")
# the best of several, taken in turn: other work only makes it slower
took = {name: [np.inf] * len(SIZES) for name in BLOCKS}
for i, hidden in enumerate(SIZES):
    layers = {name: getattr(tg.nn, name)(INPUTS, hidden) for name in BLOCKS}
    for _ in range(40):
        for name, layer in layers.items():
            began = time.perf_counter()
            layer(x)[0].sum().backward()
            took[name][i] = min(took[name][i], (time.perf_counter() - began) / T * 1e6)

for name in BLOCKS:
    print(
        f"{name:12}",
        *(f"{n:7,} parameters {t:5.1f} µs" for n, t in zip(parameters[name], took[name], strict=True)),
        sep="   ",
    )
ratios = np.divide(took["GRU"], took["LSTM"])
print(
    "GRU ÷ LSTM: parameters 0.75, time for forward and backward of a step",
    *(f"{ratio:.2f}" for ratio in ratios),
)
if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, panels = plt.subplots(1, 2)
    for axes, found, label in zip(
        panels, (parameters, took), ("parameters", "time per step, µs"), strict=True
    ):
        for name, values in found.items():
            axes.loglog(SIZES, values, marker="o", label=name)
        axes.set(xlabel="hidden units", ylabel=label)
        axes.set_xticks(SIZES, SIZES, minor=False)
        axes.minorticks_off()
    panels[0].legend()
    panels[1].set(title=f"forward and backward, {T} steps of {BATCH} sequences")
    plt.savefig(sys.argv[1])
