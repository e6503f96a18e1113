import numpy as np


def backward(x, target, k, h, W, U, b, V):
    """The residuals of h (6, 4, 3), V (3, 1), b (3,), U (3, 3) and W (1, 3).

    In five steps, h[t + 1] = (1 - k) * h[t] + k * tanh(x[t] @ W + h[t] @ U + b).
    The loss is the sum of (h[t + 1] @ V - target[t])² over all steps and samples.
    k is a number; x and target are (5, 4, 1): steps, samples, one number each.
    """
    dh, dV, db, dU, dW = (np.zeros_like(value) for value in (h, V, b, U, W))
    for t in reversed(range(len(x))):
        dy = 2 * (h[t + 1] @ V - target[t])
        dV += h[t + 1].T @ dy
        dh[t + 1] += dy @ V.T
        s = np.tanh(x[t] @ W + h[t] @ U + b)
        da = dh[t + 1] * k * (1 - s**2)
        db += da.sum(axis=0)
        dU += h[t].T @ da
        dW += x[t].T @ da
        dh[t] = dh[t + 1] * (1 - k) + da @ U.T
    return {"h": dh, "V": dV, "b": db, "U": dU, "W": dW}
