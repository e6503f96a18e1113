import numpy as np


def backward(dh, dc, c_prev, i, f, g, o, c):
    """The residuals of c (4, 3), a (4, 12) and c_prev (4, 3) in one step of an LSTM.

    a holds side by side what goes into i, f, g and o: σ gives i, f and o, tanh gives g.
    Then c = f * c_prev + i * g and h = o * tanh(c). dh is the residual of h, and dc
    what later steps send to c.
    """
    y = np.tanh(c)
    do = dh * y
    dc = dc + dh * o * (1 - y**2)
    di, df, dg = dc * g, dc * c_prev, dc * i
    da = di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)
    return {"c": dc, "a": np.concatenate(da, axis=-1), "c_prev": dc * f}
