import numpy as np


def backward(dh, dc, c_prev, i, f, g, o, c, p_i, p_f, p_o):
    """The residuals of c (4, 3), p_o, p_f and p_i (3,), a (4, 12) and c_prev (4, 3).

    As in exercise 7, and the gates see the cell state: i = σ(a_i + p_i * c_prev),
    f = σ(a_f + p_f * c_prev) and o = σ(a_o + p_o * c).
    """
    y = np.tanh(c)
    do = dh * y * o * (1 - o)
    dc = dc + dh * o * (1 - y**2) + do * p_o
    di, df, dg = dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dc * i * (1 - g**2)
    return {
        "c": dc,
        "p_o": (do * c).sum(axis=0),
        "p_f": (df * c_prev).sum(axis=0),
        "p_i": (di * c_prev).sum(axis=0),
        "a": np.concatenate([di, df, dg, do], axis=-1),
        "c_prev": dc * f + di * p_i + df * p_f,
    }
