"""Copying: four symbols come, 16 steps of nothing, and then they must be said again in their order
(Hochreiter & Schmidhuber 1997, in the form of Arjovsky, Shah & Bengio 2016)."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

SYMBOLS, DELAY, BATCH, HIDDEN, STEPS, SEEDS = 4, 16, 32, 32, 700, 2


def bits(name, forget_bias, seed):
    """Cross-entropy in bits a symbol while it learns, mean of 20 steps each; a blind guess takes 2."""
    tg.random.seed(seed)
    found, layer, readout = [], getattr(tg.nn, name)(SYMBOLS + 2, HIDDEN), tg.nn.Linear(HIDDEN, SYMBOLS)
    if forget_bias:
        layer.load_state_dict(
            layer.state_dict() | {"bias_ih_l0": np.repeat([0, forget_bias, 0, 0], HIDDEN).astype("float32")}
        )
    parameters = [*layer.parameters(), *readout.parameters()]
    optimiser = tg.optim.Adam(parameters, lr=0.01)
    for step in range(STEPS):
        x, said = tg.data.copying_memory(DELAY, BATCH, SYMBOLS, SYMBOLS, seed=[seed, step])
        x = tg.one_hot(x, SYMBOLS + 2)
        loss = tg.cross_entropy(readout(layer(x)[0][-SYMBOLS:]), said[-SYMBOLS:])
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
