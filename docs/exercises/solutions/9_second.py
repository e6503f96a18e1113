import numpy as np


def backward(w, x):
    """The residuals of s, x and w, where s = w (1 − y²) and y = tanh(w x). All are (4,).

    The loss is Σ s².
    """
    y = np.tanh(w * x)
    slope = 1 - y**2
    ds = 2 * w * slope
    dy = ds * w * -2 * y
    da = dy * slope
    return {"s": ds, "x": da * w, "w": ds * slope + da * x}
