"""An LSTM step from primitives, drawn. On the cell state's road from c[t] to c[t−1] stand only × and +: no
slope, no matrix."""

import sys

import numpy as np

import tinygrad_rnn as tg

rng = np.random.default_rng(0)


def leaf(name, *shape):
    return tg.tensor(rng.normal(0, 0.5, shape), requires_grad=True, name=name)


def named(name, tensor):
    tensor.name = name
    return tensor


W, U, b, h, c = leaf("W", 3, 16), leaf("U", 4, 16), leaf("b", 16), leaf("h[t−1]", 2, 4), leaf("c[t−1]", 2, 4)
x = tg.tensor(rng.normal(size=(2, 3)), name="x[t]")

i, f, g, o = tg.split(x @ W + h @ U + b, 4, axis=-1)
i, f, g, o = (
    named("i", tg.sigmoid(i)),
    named("f", tg.sigmoid(f)),
    named("g", tg.tanh(g)),
    named("o", tg.sigmoid(o)),
)
c_next = named("c[t]", f * c + i * g)
h_next = named("h[t]", o * tg.tanh(c_next))

picture = tg.draw([h_next, c_next], gains=True)
print(picture)
if sys.argv[1:]:
    picture.save(sys.argv[1])  # the picture in the README: python examples/05_lstm.py lstm.svg

# along that road the residual is multiplied by the forget gate and by nothing else
residual = rng.normal(size=(2, 4))
back = tg.gradients(c_next, c, residual)
print(
    f"the forget gate f            {f.numpy()[0]}\nresidual of c[t−1] ÷ c[t]    "
    f"{(back.numpy() / residual)[0]}"
)
assert np.allclose(back.numpy(), residual * f.numpy())
