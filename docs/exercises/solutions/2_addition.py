import numpy as np


def backward(g, x, b):
    """The residuals of b (2,) and x (5, 4), where y = x[:, :2] + x[:, 2:] + b.

    g (5, 2) is the residual of y.
    """
    db = g.sum(axis=0)
    dx = np.concatenate([g, g], axis=1)
    return {"b": db, "x": dx}
