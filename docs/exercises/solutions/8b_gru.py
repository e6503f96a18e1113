import numpy as np


def backward(dh, h_prev, U, p, r, z, n):
    """The residuals of z, n, h_prev (4, 3), p (4, 9) and U (3, 9) in one step of a GRU.

    p = h_prev @ U holds side by side p_r, p_z and p_n. With what the input adds,
    r = σ(x_r + p_r), z = σ(x_z + p_z), n = tanh(x_n + r * p_n), and then
    h = (1 - z) * n + z * h_prev. dh is the residual of h.
    """
    p_n = p[:, 6:]
    dz = dh * (h_prev - n)
    dn = dh * (1 - z)
    da = dn * (1 - n**2)
    dr = da * p_n
    dp = np.concatenate([dr * r * (1 - r), dz * z * (1 - z), da * r], axis=-1)
    dU = h_prev.T @ dp
    return {"z": dz, "n": dn, "p": dp, "U": dU, "h_prev": dh * z + dp @ U.T}
