"""Peepholes and timing: stay silent, then spike, at every 5th step, with no input (after Gers, Schraudolph &
Schmidhuber 2002).

While an output gate is closed, h is 0 and the gates of a plain LSTM cannot see what its cell state counts;
with peepholes they can."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, NETWORKS = 15, 64
_, rhythm, _ = tg.data.spike_timing(T, 1, least=5, spread=0, task="generate")
spikes = rhythm[..., None]  # (T, 1, 1, 1): for all networks


def trained(cells, peephole):
    """Outputs and cell states, (T, NETWORKS, 1, …), of networks side by side. Without peepholes their factor
    is 0."""
    rng = np.random.default_rng(0)
    shapes = (cells, 4 * cells), (1, 4 * cells), (cells, 1), (1, 1), (1, cells), (1, cells), (1, cells)
    U, b, V, v, p_i, p_f, p_o = parameters = [
        tg.nn.Parameter(rng.normal(0, 0.5, (NETWORKS, *shape))) for shape in shapes
    ]
    b.data = b.numpy() + np.repeat([0, -2, 0, -1], cells)  # forget and output gate begin closed

    def cell(_, state):
        h, c = state
        i, f, g, o = tg.split(h @ U + b, 4, axis=-1)
        c = tg.sigmoid(f + peephole * p_f * c) * c + tg.sigmoid(i + peephole * p_i * c) * tg.tanh(g)
        h = tg.sigmoid(o + peephole * p_o * c) * tg.tanh(c)
        return (h @ V + v, c), (h, c)

    optimiser, zeros = tg.optim.Adam(parameters, lr=0.05), np.zeros((NETWORKS, 1, cells))
    for _ in range(600):
        (y, c), _ = tg.scan(cell, np.zeros((T, 1)), (zeros, zeros))
        optimiser.zero_grad()
        tg.sum(tg.softplus(y) - y * spikes).backward()  # cross-entropy of σ(y), over all networks and steps
        optimiser.step()
    return y.numpy(), c.numpy()


solved = {}
for name, cells, peephole in ("LSTM", 2, 0), ("peephole", 2, 1), ("LSTM", 1, 0), ("peephole", 1, 1):
    y, c = trained(cells, peephole)
    right = ((y > 0) == (spikes > 0)).all(axis=(0, 2, 3))
    solved[f"{name}, {cells} cell{'s' * (cells > 1)}"] = right.sum()
    print(
        f"{name:8} {cells} cells: {right.sum():2} of {NETWORKS} networks spike at the right steps and at "
        "no other"
    )
assert solved["LSTM, 1 cell"] <= 2 < 10 < solved["peephole, 1 cell"]  # with one cell a plain LSTM fails; …
# … with two, one can show what the other counts, and it needs no peepholes
assert solved["LSTM, 2 cells"] > 10

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, (bars, trace) = plt.subplots(1, 2)
    bars.bar_label(bars.barh([*solved], [*solved.values()]), padding=3)
    bars.set(title="networks that learned the rhythm", xlabel=f"of {NETWORKS}", xlim=(0, NETWORKS))
    y, c = (values[:, right.argmax(), 0] for values in (y, c))  # the first that learned it
    trace.plot(
        range(1, T + 1),
        np.hstack([1 / (1 + np.exp(-y)), c]),
        marker="o",
        label=["output σ(y)", "cell state c"],
    )
    trace.set(title="one of them: a peephole LSTM of one cell", xlabel="step", xticks=range(5, T + 1, 5))
    trace.legend(loc=(0.02, 0.36))
    plt.savefig(sys.argv[1])
