"""A GRU has no cell state: one gate z mixes the old h with a candidate n. Where z is near 1 the residual
keeps its size."""

import numpy as np

import tinygrad_rnn as tg

tg.random.seed(0)
T, HIDDEN = 60, 8
rng = np.random.default_rng(0)
x = rng.normal(size=(T, 1, 1))


def left(layer, bias=None):
    """How much of the last output's residual is left at the state before the first step."""
    if bias is not None:
        b = layer.bias_ih_l0.numpy().copy()
        b[HIDDEN : 2 * HIDDEN] = bias  # gate order r, z, n
        layer.load_state_dict(layer.state_dict() | {"bias_ih_l0": b})
    start = tg.tensor(np.zeros((1, 1, HIDDEN)), requires_grad=True)
    ys, _ = layer(x, start)
    seed = np.ones((1, HIDDEN))
    return np.linalg.norm(tg.gradients(ys[-1], start, seed).numpy()) / np.linalg.norm(seed)


rnn = left(tg.nn.RNN(1, HIDDEN, dtype="float64"))
print(f"RNN, {T} steps                       {rnn:.1e}")
found = {}
for bias in (0, 2, 5):
    found[bias] = left(tg.nn.GRU(1, HIDDEN, dtype="float64"), bias)
    print(f"GRU, z = σ({bias} + …), about {1 / (1 + np.exp(-bias)):.3f}    {found[bias]:.1e}")
assert found[0] < found[2] < found[5] < 1.5
assert rnn < 1e-6 < found[2]
assert found[5] > 0.1
