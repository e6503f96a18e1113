import numpy as np


def backward(g, x):
    """The residuals of s and x, where s = σ(x) and y = tanh(s). All are (4,).

    g is the residual of y.
    """
    s = 1 / (1 + np.exp(-x))
    y = np.tanh(s)
    ds = g * (1 - y**2)
    dx = ds * s * (1 - s)
    return {"s": ds, "x": dx}
