"""An RNN by back-propagation through time: the loss is summed over all samples and all time steps, and so is
every gradient."""

import numpy as np

import tinygrad_rnn as tg

rng = np.random.default_rng(0)
T, N, HIDDEN = 8, 5, 6
W, U, b, V = (
    tg.nn.Parameter(rng.normal(0, 0.5, shape))
    for shape in ((1, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN, 1))
)


def losses(x, target):
    """The loss of every sample at every time step."""
    h, found = np.zeros((x.shape[1], HIDDEN)), []
    for t in range(T):
        h = tg.tanh(x[t] @ W + h @ U + b)
        found.append((h @ V - target[t]) ** 2)
    return tg.stack(found)  # (T, N, 1)


x = rng.normal(size=(T, N, 1))
target = np.cumsum(x, axis=0)  # after every step: the sum so far
whole = tg.gradients(losses(x, target).sum(), U)
parts = [
    tg.gradients(losses(x[:, n : n + 1], target[:, n : n + 1])[t].sum(), U).numpy()
    for n in range(N)
    for t in range(T)
]
assert np.allclose(whole.numpy(), sum(parts))
print(
    f"dU of the sum over {N} samples and {T} steps is the sum of {len(parts)} gradients, one for each "
    "sample and step"
)

optimiser = tg.optim.Adam([W, U, b, V], lr=0.02)
for step in range(201):
    x = rng.normal(size=(T, 32, 1))
    loss = losses(x, np.cumsum(x, axis=0)).sum()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 50 == 0:
        print(f"step {step:3}: loss per sample and time step {loss.item() / (32 * T):.3f}")
assert loss.item() / (32 * T) < 0.5
