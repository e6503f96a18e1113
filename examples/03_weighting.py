"""Case 3, weighting: y = w · x, so each side's residual is weighted by the other side, dw = dy · x and dx =
dy · w."""

import numpy as np

import tinygrad_rnn as tg

w, x = (tg.tensor(np.array(value), requires_grad=True) for value in (0.5, 4.0))
(w * x).backward()
print(f"y = w · x with w = {w.item()}, x = {x.item()}: dw = {w.grad.item()}, dx = {x.grad.item()}")
assert (w.grad.item(), x.grad.item()) == (x.item(), w.item())

# a matrix product is the same in every pair of numbers: dx = dy Wᵀ, dW = xᵀ dy
rng = np.random.default_rng(0)
x, W = (tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in ((2, 3), (3, 4)))
residual = rng.normal(size=(2, 4))
(x @ W).backward(residual)
assert np.allclose(x.grad.data, residual @ W.data.T)
assert np.allclose(W.grad.data, x.data.T @ residual)
print("x @ W: dx = dy @ Wᵀ and dW = xᵀ @ dy")

# the same weight over and over: the residual dies or explodes with its powers
for weight in (0.9, 1.0, 1.1):
    y = start = tg.tensor(np.array(1.0), requires_grad=True)
    for _ in range(100):
        y = weight * y
    y.backward()
    print(f"100 weightings by {weight}: the residual is multiplied by {start.grad.item():.3g}")
    assert np.isclose(start.grad.item(), weight**100)
