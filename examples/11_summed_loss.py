"""The loss is summed over all samples and time steps: each step injects a residual of its own into the one
that comes from later steps."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

rng = np.random.default_rng(0)
T, N, HIDDEN = 20, 16, 8
W, U, V = (
    tg.nn.Parameter(rng.normal(0, 0.35, shape)) for shape in ((1, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1))
)
x = rng.normal(size=(T, N, 1))
target = np.cumsum(x, axis=0)

h, states, losses = np.zeros((N, HIDDEN)), [], []
for t in range(T):
    h = tg.tanh(x[t] @ W + h @ U)
    states.append(h)
    losses.append(tg.sum((h @ V - target[t]) ** 2))  # over the samples
loss = sum(losses[1:], losses[0])  # over the time steps

total = [g.numpy() for g in tg.gradients(loss, states)]  # what h[t] receives from all losses
# from the loss at its own step
injected = [2 * (h.numpy() @ V.numpy() - target[t]) @ V.numpy().T for t, h in enumerate(states)]
for t in range(T):
    later = 0 if t == T - 1 else (total[t + 1] * (1 - states[t + 1].numpy() ** 2)) @ U.numpy().T
    assert np.allclose(total[t], injected[t] + later, rtol=1e-12)
print(f"at each of {T} steps: residual of h[t] = injected by the loss of step t + what step t + 1 hands back")

apart = [[g.numpy() for g in tg.gradients(one, [*states[: t + 1], U])] for t, one in enumerate(losses)]
assert np.allclose(tg.gradients(loss, U).numpy(), sum(found[-1] for found in apart), rtol=1e-12)
print(
    f"gradient of the sum = sum of {T} gradients, one for each step's loss (example 04: and for each sample)"
)

# of the residual that the loss of step s injects: the part that reaches h[t], t ≤ s
left_over = np.full((T, T), np.nan)
for s, found in enumerate(apart):
    sizes = [np.linalg.norm(g) for g in found[:-1]]
    left_over[s, : s + 1] = np.divide(sizes, sizes[-1])
reach = [np.diagonal(left_over, -k).mean() for k in range(T)]
print(
    "of what a loss injects there is left, on average:",
    ", ".join(f"{reach[k]:.0%} after {k}" for k in (1, 3, 10)),
    "steps",
)
assert reach[10] < reach[3] < reach[1] < 1

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, (left, right) = plt.subplots(1, 2)
    left.plot([np.linalg.norm(g) for g in total], marker="o", label="all that arrives at h[t]")
    left.plot([np.linalg.norm(g) for g in injected], marker="s", label="injected by the loss of step t")
    left.set(title="residual per step", xlabel="t", ylabel="size", xticks=range(0, T, 5), ylim=0)
    left.legend()
    image = right.imshow(left_over, vmin=0, vmax=1, origin="lower")
    right.set(
        title="which loss reaches which state",
        xlabel="state h[t]",
        ylabel="loss of step",
        xticks=range(0, T, 5),
    )
    right.set(yticks=range(0, T, 5))
    plt.colorbar(image, label="part that is left")
    plt.savefig(sys.argv[1])
