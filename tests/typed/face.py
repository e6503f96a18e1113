"""What a type checker knows of the public face: checked by ``tests/test_types.py``, never run."""

from typing import Any

import numpy as np
from typing_extensions import assert_type

import tinygrad_rnn as tg

x = tg.tensor([1.0, 2.0], requires_grad=True)
assert_type(x, tg.Tensor)
assert_type(tg.tanh(x), tg.Tensor)
assert_type(tg.tanh(1.0), tg.Tensor)
assert_type(x @ x + 2 * x, tg.Tensor)
assert_type(tg.sum(x * x, axis=0), tg.Tensor)
assert_type(tg.where(x > 0, x, 0.0), tg.Tensor)
assert_type(tg.concatenate([x, x], axis=0), tg.Tensor)
assert_type(tg.einsum("i,i->", x, x), tg.Tensor)
assert_type(tg.softmax(x), tg.Tensor)
assert_type(tg.cross_entropy(x, 0), tg.Tensor)
assert_type(tg.zeros((3, 4)), tg.Tensor)
assert_type(tg.linalg.inv(tg.eye(3)), tg.Tensor)
assert_type(x.grad, tg.Tensor | None)
assert_type(x[0], tg.Tensor)
assert_type(x.shape, tuple[int, ...])
assert_type(tg.jacobian(tg.tanh)(x), tg.Tensor)

layer = tg.nn.LSTM(3, 8, num_layers=2)
assert_type(layer, tg.nn.LSTM)
assert_type(layer(tg.zeros((5, 2, 3))), tuple[tg.Tensor, Any])
assert_type(tg.nn.Linear(3, 4)(x), tg.Tensor)
assert_type(layer.parameters(), list[tg.Tensor])

optimizer = tg.optim.Adam(layer.parameters(), lr=1e-3)
assert_type(optimizer, tg.optim.Adam)
optimizer.step()


class Gated(tg.nn.Module):
    """A cell of one's own."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = tg.tensor(np.eye(size), requires_grad=True)

    def __call__(self, x: tg.Tensor, h: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        h = tg.tanh(x + h @ self.weight)
        return h, h


ys, last = tg.scan(Gated(3), tg.zeros((5, 2, 3)), tg.zeros((2, 3)))
tg.set_memory_budget(1 << 30)
assert_type(tg.memory_budget(), int)
