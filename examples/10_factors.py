"""The same factor at every step: 0.9 vanishes, 1.1 explodes. Above 1 it need not: the direction and the
slopes also count."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, rng = 100, np.random.default_rng(0)
Q = np.linalg.qr(rng.normal(size=(8, 8)))[0]  # orthogonal: it turns a residual and keeps its size


def sizes(U, seed, slope=lambda a: a):
    """The size of a residual on its way back through h ← slope(h U), T times, relative to its size at
    first."""
    h = tg.tensor(np.ones(len(U)), requires_grad=True)
    states = [h]
    for _ in range(T):
        h = slope(h @ U)
        states.append(h)
    return np.array([np.linalg.norm(g.numpy()) for g in tg.gradients(h, states, seed)])[
        ::-1
    ] / np.linalg.norm(seed)


steps, seed = np.arange(T + 1), rng.normal(size=8)
theory = {
    "0.9": (sizes(np.eye(1) * 0.9, np.ones(1)), 0.9**steps),
    "1.1": (sizes(np.eye(1) * 1.1, np.ones(1)), 1.1**steps),
    "0.95 · orthogonal": (sizes(0.95 * Q, seed), 0.95**steps),
}
for name, (found, exact) in theory.items():
    print(f"{name:28} {found[-1]:.6g} after {T} steps")
    assert np.allclose(found, exact, rtol=1e-12)

above_1 = {  # matrices that make some vector longer, and yet nothing explodes
    "diag(1.1, 0.5), along 0.5": sizes(np.diag([1.1, 0.5]), np.array([0.0, 1.0])),
    "0.9 twice, coupled by 1": sizes(np.array([[0.9, 1.0], [0.0, 0.9]]), np.array([0.0, 1.0])),
    "1.1 · orthogonal, tanh": sizes(1.1 * Q, seed, tg.tanh),
}
for name, found in above_1.items():
    print(f"{name:28} {found[-1]:.3g} after {T} steps, {found.max():.3g} at most")
assert np.isclose(above_1["diag(1.1, 0.5), along 0.5"][-1], 0.5**T)
assert np.allclose(above_1["0.9 twice, coupled by 1"], np.hypot(0.9**steps, steps * 0.9 ** (steps - 1.0)))
assert all(found[-1] < 1 for found in above_1.values())

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, (left, right) = plt.subplots(1, 2, sharey=True)
    for name, (found, _) in theory.items():
        left.semilogy(found, label=name)
    for name, found in above_1.items():
        right.semilogy(found, label=name)
    left.set(
        title="the factor alone",
        xlabel="steps back",
        ylabel="size of the residual ÷ size at first",
        ylim=(1e-6, 1e5),
    )
    right.set(title="a matrix with a factor above 1 that does not explode", xlabel="steps back")
    left.legend(loc="lower left"), right.legend(loc="upper left")
    plt.savefig(sys.argv[1])
