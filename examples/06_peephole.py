"""Peepholes: the gates of an LSTM also see its cell state. As a cell of your own it is two lines more than an
LSTM."""

import numpy as np

import tinygrad_rnn as tg


class Peephole(tg.nn.Module):
    def __init__(self, inputs, hidden, rng):
        self.state_size = (hidden, hidden)
        shapes = {
            "W": (inputs, 4 * hidden),
            "U": (hidden, 4 * hidden),
            "b": 4 * hidden,
            "p_i": hidden,
            "p_f": hidden,
            "p_o": hidden,
        }
        vars(self).update(
            {name: tg.nn.Parameter(rng.normal(0, 0.5, shape)) for name, shape in shapes.items()}
        )

    def __call__(self, x, state):
        h, c = state
        i, f, g, o = tg.split(x @ self.W + h @ self.U + self.b, 4, axis=-1)
        i, f = tg.sigmoid(i + self.p_i * c), tg.sigmoid(f + self.p_f * c)
        c = f * c + i * tg.tanh(g)
        h = tg.sigmoid(o + self.p_o * c) * tg.tanh(c)
        return h, (h, c)


rng = np.random.default_rng(0)
mine = Peephole(3, 4, rng)
builtin = tg.nn.PeepholeLSTM(3, 4, dtype="float64")
builtin.load_state_dict(
    {
        "weight_ih_l0": mine.W.data.T,
        "weight_hh_l0": mine.U.data.T,
        "bias_ih_l0": mine.b.data,
        "bias_hh_l0": np.zeros(16),
    }
    | {f"{name}_l0": getattr(mine, name).data for name in ("p_i", "p_f", "p_o")}
)
x = rng.normal(size=(7, 2, 3))  # 7 steps, 2 samples, 3 numbers each
ys, (h, c) = tg.nn.Recurrent(mine)(x)
assert np.allclose(ys.numpy(), builtin(x)[0].numpy(), rtol=1e-12)
print(f"7 steps of it give {ys.shape}, as tg.nn.PeepholeLSTM with the same weights does")

(ys**2).sum().backward()
print(
    "gradients of the peepholes:",
    *(f"{name} {getattr(mine, name).grad.data.round(3)}" for name in ("p_i", "p_f", "p_o")),
    sep="\n  ",
)
tg.check_gradients(lambda x, p_f: tg.sum(mine(x, (h.detach(), p_f * c.detach()))[0]), x[0], mine.p_f)
