"""σ′ is at most ¼: a residual loses at least three quarters in each sigmoid. A weighting in between can give
it back."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

x = tg.tensor(np.linspace(-6, 6, 241), requires_grad=True)
slopes = {f.__name__: tg.gradients(f(x).sum(), x).numpy() for f in (tg.sigmoid, tg.tanh, tg.relu)}
s = 1 / (1 + np.exp(-x.numpy()))
assert np.allclose(slopes["sigmoid"], s * (1 - s), rtol=1e-12)
assert slopes["sigmoid"].max() == 0.25  # at 0, and nowhere else
assert slopes["tanh"].max() == slopes["relu"].max() == 1

DEPTH = 20


def on_the_way_back(layer, start):
    """The residual of the last layer's output, 1, at the layers 0, 1, …, DEPTH below it."""
    y = tg.tensor(np.array(start), requires_grad=True)
    layers = [y]
    for _ in range(DEPTH):
        y = layer(y)
        layers.append(y)
    return [residual.item() for residual in tg.gradients(y, layers)][::-1]


residuals = {
    "sigmoid": on_the_way_back(tg.sigmoid, 0.5),
    "tanh": on_the_way_back(tg.tanh, 0.5),
    "relu": on_the_way_back(tg.relu, 0.5),
    # stays at ½, where σ′ = ¼
    "sigmoid, input × 4": on_the_way_back(lambda y: tg.sigmoid(4 * (y - 0.5)), 0.5),
}
for name, found in residuals.items():
    print(f"{name:20} after {DEPTH} layers {found[-1]:.3g}")
bound = 0.25 ** np.arange(DEPTH + 1)
assert all(residuals["sigmoid"] <= bound)  # the bound holds …
# … for the slopes alone: 4 · ¼ loses nothing
assert residuals["relu"] == residuals["sigmoid, input × 4"] == [1] * (DEPTH + 1)
assert 0.1 < residuals["tanh"][-1] < 0.2  # tanh loses as well where it is not at 0, and far less

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, (left, right) = plt.subplots(1, 2)
    for name, slope in slopes.items():
        left.plot(x.numpy(), slope, label=f"{name}′")
    left.axhline(0.25, color="0.6", linewidth=1)
    for name, found in residuals.items():
        right.semilogy(found, label=name)
    right.semilogy(bound, color="0.6", linewidth=1, linestyle="-", label="bound 0.25ⁿ")
    left.set(title="the local slope", xlabel="x", ylabel="slope")
    right.set(
        title="a residual of 1 on its way back",
        xlabel="layers passed, n",
        ylabel="residual",
        xticks=range(0, 21, 5),
    )
    for axes in (left, right):
        axes.legend()
    plt.savefig(sys.argv[1])
