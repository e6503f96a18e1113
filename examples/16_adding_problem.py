"""The adding problem: of 20 random numbers two are marked, and the answer is their sum (Hochreiter &
Schmidhuber 1997)."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, BATCH, HIDDEN, STEPS, SEEDS = 20, 32, 32, 500, 2


def network(name):
    if name != "relu RNN, U = 1":
        return getattr(tg.nn, name)(2, HIDDEN)
    # begins by keeping its state (Le, Jaitly & Hinton 2015)
    layer = tg.nn.RNN(2, HIDDEN, nonlinearity="relu", bias=False)
    layer.load_state_dict(
        {"weight_ih_l0": layer.weight_ih_l0.numpy() / 2, "weight_hh_l0": np.eye(HIDDEN, dtype="float32")}
    )
    return layer


def losses(name, seed):
    tg.random.seed(seed)
    found, layer, readout = [], network(name), tg.nn.Linear(HIDDEN, 1)
    parameters = [*layer.parameters(), *readout.parameters()]
    optimiser = tg.optim.Adam(parameters, lr=0.003 if name == "relu RNN, U = 1" else 0.02)
    for step in range(STEPS):
        x, target = tg.data.adding_problem(T, BATCH, seed=[seed, step])
        loss = tg.mse_loss(readout(layer(x)[0][-1]), target)
        optimiser.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm(parameters, 1.0)
        optimiser.step()
        found.append(loss.item())
    return np.reshape(found, (-1, 20)).mean(axis=1)


curves = {
    name: [losses(name, s) for s in range(SEEDS)]
    for name in ("RNN", "LSTM", "PeepholeLSTM", "GRU", "relu RNN, U = 1")
}
last = {name: [one[-1] for one in found] for name, found in curves.items()}
print(
    f"squared error at the end, {SEEDS} seeds:",
    *(f"{name:15} {np.round(errors, 4)}" for name, errors in last.items()),
    sep="\n",
)
assert min(last["RNN"]) > 0.12  # no better than always answering 1: the variance of the sum is 1/6
# a plain RNN can too, if it begins as U = 1
assert all(min(errors) < 0.05 for name, errors in last.items() if name != "RNN")

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    for name, found in curves.items():
        plt.semilogy(range(10, STEPS, 20), np.mean(found, axis=0), label=name)
    plt.gca().set(
        title=f"adding two of {T} numbers",
        xlabel="training step",
        ylabel=f"squared error, mean of {SEEDS} seeds",
    )
    plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    plt.savefig(sys.argv[1])
