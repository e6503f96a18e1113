def backward(g, x, W, s):
    """The residuals of s (3,), W (3, 3) and x (4, 3), where y = (x @ W) * s.

    g (4, 3) is the residual of y.
    """
    a = x @ W
    da = g * s
    ds = (g * a).sum(axis=0)
    dW = x.T @ da
    dx = da @ W.T
    return {"s": ds, "W": dW, "x": dx}
