"""Case 2, addition: y = x₁ + x₂ and every routing, so the residual passes unchanged. It is only sent to the
right place."""

import numpy as np

import tinygrad_rnn as tg

a = tg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
b = tg.tensor(np.array(10.0), requires_grad=True)  # one number, broadcast over the three
residual = np.array([0.1, 0.2, 0.4])
(a + b).backward(residual)
print(f"y = a + b\nthe residual of y    {residual}\nthe residual of a    {a.grad.data}    unchanged")
print(
    f"the residual of b    {b.grad.item():.1f}              b was copied, so what its copies got is added up"
)
assert np.array_equal(a.grad.data, residual)
assert np.isclose(b.grad.item(), residual.sum())

# a hundred additions in a row lose nothing: that is the road of an LSTM's cell state
c = start = tg.tensor(np.array(1.0), requires_grad=True)
for _ in range(100):
    c = c + 0.5
c.backward()
print(f"after 100 additions  {start.grad.item()}")
assert start.grad.item() == 1

# splitting, reshaping and choosing are case 2 as well
x = tg.tensor(np.arange(4.0), requires_grad=True)
first, second = tg.split(x, 2)
tg.maximum(first, 0.5).sum().backward()
print(f"maximum(first half of {x.data}, 0.5) sends back {x.grad.data}")
assert np.array_equal(x.grad.data, [0, 1, 0, 0])
