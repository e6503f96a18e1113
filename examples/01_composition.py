"""Case 1, composition: y = f(x), so the residual is multiplied by the local slope, dx = dy · f′(x). It
changes."""

import numpy as np

import tinygrad_rnn as tg

x = tg.tensor(np.array([-2.0, 0.0, 0.5]), requires_grad=True)
tg.tanh(x).sum().backward()
print(f"x              {x.data}\ntanh′(x)       {x.grad.data}")
assert np.allclose(x.grad.data, 1 - np.tanh(x.data) ** 2)

# a chain of compositions multiplies slopes: below 1 each, the residual vanishes
sigmoid_slopes = []
for depth in (1, 5, 20):
    y = a = tg.tensor(np.array(0.5), requires_grad=True)
    for _ in range(depth):
        y = tg.sigmoid(y)
    y.backward()
    sigmoid_slopes.append(a.grad.item())
    print(f"{depth:2} sigmoids in a row: the residual is multiplied by {a.grad.item():.2e}")
assert all(slope <= 0.25**depth for slope, depth in zip(sigmoid_slopes, (1, 5, 20), strict=True))

row = next(line for line in str(tg.rows).splitlines() if " tanh " in line)
print(f"its row in the rule table: {row}")
