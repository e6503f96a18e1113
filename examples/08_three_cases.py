"""The three chain-rule cases in one picture: a residual of 1 comes in at the right, and on each arrow stands
what becomes of it."""

import sys

import numpy as np

import tinygrad_rnn as tg


def leaf(name, value):
    return tg.tensor(np.array(value), requires_grad=True, name=name)


x, a, b, w, v = leaf("x", 0.5), leaf("a", 1.0), leaf("b", 2.0), leaf("w", 3.0), leaf("v", 2.0)
cases = weighted, added, composed = w * v, a + b, tg.tanh(x)  # drawn from below
weighted.name, added.name, composed.name = "y₃", "y₂", "y₁"

picture = tg.draw(cases, gains=True, start=cases, title="The three cases: what becomes of a residual")
print(picture)
if sys.argv[1:]:
    picture.save(sys.argv[1])

residuals = [residual.item() for residual in tg.gradients(list(cases), [x, a, b, w, v])]
print(
    "1 composition: dx = {:.3f}\n2 addition:    da = {}, db = {}\n3 weighting:   dw = {}, dv = {}".format(
        *residuals
    )
)
assert np.allclose(residuals, [1 - np.tanh(0.5) ** 2, 1, 1, 2, 3], rtol=1e-15)
