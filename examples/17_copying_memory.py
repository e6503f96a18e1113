"""Copying: four symbols come, 16 steps of nothing, and then they must be said again in their order
(Hochreiter & Schmidhuber 1997)."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

SYMBOLS, DELAY, BATCH, HIDDEN, STEPS, SEEDS = 4, 16, 32, 32, 500, 2


def samples(rng):
    """One-hot x (T, BATCH, SYMBOLS + 1), whose last channel says when to speak; and the symbols (SYMBOLS,
    BATCH)."""
    symbols = rng.integers(0, SYMBOLS, (SYMBOLS, BATCH))
    x = np.zeros((SYMBOLS + DELAY + SYMBOLS, BATCH, SYMBOLS + 1), "float32")
    x[:SYMBOLS, :, :SYMBOLS] = np.eye(SYMBOLS)[symbols]
    x[-SYMBOLS:, :, SYMBOLS] = 1
    return x, symbols


def bits(name, forget_bias, seed):
    """Cross-entropy in bits a symbol while it learns, mean of 20 steps each; a blind guess takes 2."""
    tg.random.seed(seed)
    rng, found = np.random.default_rng(seed), []
    layer, readout = getattr(tg.nn, name)(SYMBOLS + 1, HIDDEN), tg.nn.Linear(HIDDEN, SYMBOLS)
    if forget_bias:
        layer.load_state_dict(
            layer.state_dict() | {"bias_ih_l0": np.repeat([0, forget_bias, 0, 0], HIDDEN).astype("float32")}
        )
    parameters = [*layer.parameters(), *readout.parameters()]
    optimiser = tg.optim.Adam(parameters, lr=0.01)
    for _ in range(STEPS):
        x, symbols = samples(rng)
        loss = tg.cross_entropy(readout(layer(x)[0][-SYMBOLS:]), symbols)
        optimiser.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm(parameters, 1.0)
        optimiser.step()
        found.append(loss.item() / np.log(2))
    return np.reshape(found, (-1, 20)).mean(axis=1)


networks = ("RNN", 0), ("LSTM", 0), ("LSTM", 5), ("PeepholeLSTM", 5), ("GRU", 0)
curves = {
    name + f", bias {bias}" * bool(bias): [bits(name, bias, seed) for seed in range(SEEDS)]
    for name, bias in networks
}
last = {name: [one[-1] for one in found] for name, found in curves.items()}
print(
    f"bits a symbol at the end, {SEEDS} seeds, blind guess 2:",
    *(f"{name:20} {np.round(b, 3)}" for name, b in last.items()),
    sep="\n",
)
# with its forget gate half open, an LSTM learns nothing here; a plain RNN does, in part
assert min(last["LSTM"]) > 1.95
assert max(last["RNN"]) < 1.85
assert max(last["LSTM, bias 5"] + last["PeepholeLSTM, bias 5"] + last["GRU"]) < 0.6

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    for name, found in curves.items():
        plt.plot(range(10, STEPS, 20), np.mean(found, axis=0), label=name)
    plt.gca().set(
        title=f"copying over {DELAY} steps",
        xlabel="training step",
        ylabel=f"bits a symbol, mean of {SEEDS} seeds",
        ylim=0,
    )
    plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    plt.savefig(sys.argv[1])
