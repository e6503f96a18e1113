"""Cells that come from differential equations, or keep lengths by their form."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import published


@published
def ode_rnn(m):
    """ODE-RNN: between two observations the state follows an equation, here by one step of Runge and Kutta.
    Rubanova et al. 2019, algorithm 1; the time between comes with x."""
    n = m.width
    xs = {"x": m.x(4), "dt": m.between(0.1, 1, m.steps, m.batch, 1)}
    return xs, m.h(), {"A": m.p(n, n), "a": m.p(n), "W": m.p(4, n), "U": m.p(n, n)}


@ode_rnn.spelling
def ode_rnn_line_by_line(scan, xs, h, A, a, W, U):
    def f(h):
        return tg.tanh(h @ A + a)

    def cell(xs, h):
        dt = xs["dt"]
        k1 = f(h)
        k2 = f(h + dt / 2 * k1)
        k3 = f(h + dt / 2 * k2)
        k4 = f(h + dt * k3)
        h = h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        h = tg.tanh(xs["x"] @ W + h @ U)
        return h, h

    return scan(cell, xs, h)


@ode_rnn.spelling
def ode_rnn_by_a_table(scan, xs, h, A, a, W, U):
    """A loop over the stages of the method."""

    def cell(xs, h):
        x, dt = xs
        k, total = 0, 0
        for part, weight in [(0, 1), (0.5, 2), (0.5, 2), (1, 1)]:
            k = tg.tanh(tg.einsum("bi,ij->bj", h + part * dt[:, None] * k, A) + a)
            total = total + weight * k
        h = tg.tanh(tg.concatenate([x, h + dt[:, None] * total / 6], axis=-1) @ tg.concatenate([W, U]))
        return h, h

    return scan(cell, (xs["x"], xs["dt"][..., 0]), h)


@ode_rnn.spelling
def ode_rnn_with_columns(scan, xs, h, A, a, W, U):
    def solved(h, dt):
        k = [tg.tanh(A.T @ h + a[:, None])]
        for part in (2, 2, 1):
            k.append(tg.tanh(A.T @ (h + k[-1] * dt / part) + a[:, None]))
        return h + dt * tg.tensordot(tg.tensor([1 / 6, 1 / 3, 1 / 3, 1 / 6], h.dtype), tg.stack(k), 1)

    def cell(xs, h):
        h = tg.tanh((xs["x"] @ W).T + U.T @ solved(h, xs["dt"].T))
        return h.T, h

    ys, h = scan(cell, xs, h.T)
    return ys, h.T


@published
def antisymmetric_rnn(m):
    """AntisymmetricRNN with a gate. Chang et al. 2019, equations 9 and 11."""
    n = m.width
    return m.x(4), m.h(), {"W": m.p(n, n), "V": m.p(4, n), "b": m.p(n), "Vz": m.p(4, n), "bz": m.p(n)}


EPSILON, DIFFUSION = 0.3, 0.1


@antisymmetric_rnn.spelling
def antisymmetric_rnn_with_eye(scan, x, h, W, V, b, Vz, bz):
    def cell(x, h):
        A = W - W.T - DIFFUSION * tg.eye(W.shape[0], dtype=W.dtype)
        a = h @ A
        h = h + EPSILON * tg.sigmoid(a + x @ Vz + bz) * tg.tanh(a + x @ V + b)
        return h, h

    return scan(cell, x, h)


@antisymmetric_rnn.spelling
def antisymmetric_rnn_by_two_products(scan, x, h, W, V, b, Vz, bz):
    def cell(x, h):
        a = h @ W - (W @ h.T).T - DIFFUSION * h
        gate, new = tg.split(x @ tg.hstack([Vz, V]) + tg.hstack([bz, b]) + tg.tile(a, 2), 2, axis=-1)
        h = h + EPSILON * tg.sigmoid(gate) * tg.tanh(new)
        return h, h

    return scan(cell, x, h)


@antisymmetric_rnn.spelling
def antisymmetric_rnn_by_the_upper_triangle(scan, x, h, W, V, b, Vz, bz):
    upper = tg.triu(W - W.T, 1)
    A = upper - upper.T - tg.diag(tg.full((W.shape[0],), DIFFUSION, W.dtype))

    def cell(x, h):
        a = tg.einsum("bi,ij->bj", h, A)
        gates = tg.stack([x @ Vz + bz, x @ V + b]) + a
        h = h + EPSILON * tg.multiply(tg.sigmoid(gates[0]), tg.tanh(gates[1]))
        return h, h

    return scan(cell, x, h)


@published
def orthogonal_rnn(m):
    """The recurrent matrix is a product of reflections. Mhammedi et al. 2017, equations 8 to 10."""
    n = m.width
    return m.x(4), m.h(), {"W": m.p(4, n), "v": m.p(3, n)}


@orthogonal_rnn.spelling
def orthogonal_rnn_by_vectors(scan, x, h, W, v):
    def cell(x, h):
        for u in v:
            h = h - 2 * tg.outer(h @ u, u) / (u @ u)
        h = tg.tanh(x @ W + h)
        return h, h

    return scan(cell, x, h)


@orthogonal_rnn.spelling
def orthogonal_rnn_by_unit_rows(scan, x, h, W, v):
    def cell(x, h):
        for i in range(3):
            u = v[i : i + 1] / tg.linalg.norm(v[i : i + 1])
            h = h - 2 * tg.sum(h * u, axis=1, keepdims=True) * u
        h = tg.tanh(x @ W + h)
        return h, h

    return scan(cell, x, h)


@orthogonal_rnn.spelling
def orthogonal_rnn_by_one_matrix(scan, x, h, W, v):
    U = tg.eye(v.shape[1], dtype=v.dtype)
    for u in tg.split(v, 3):
        U = U - 2 * U @ u.T @ u / tg.sum(u**2)

    def cell(x, h):
        h = tg.tanh(tg.inner(x, W.T) + tg.inner(h, U.T))
        return h, h

    return scan(cell, x, h)


@published
def cornn(m):
    """coRNN: coupled oscillators. Rusch & Mishra 2021, equation 3."""
    n = m.width
    return (
        m.x(4),
        (m.h(), m.h()),
        {"W": m.p(n, n), "Wz": m.p(n, n), "V": m.p(4, n), "b": m.p(n), "gamma": m.p(), "epsilon": m.p()},
    )


@cornn.spelling
def cornn_plain(scan, x, state, W, Wz, V, b, gamma, epsilon):
    def cell(x, state):
        y, z = state
        z = z + 0.1 * (tg.tanh(y @ W + z @ Wz + x @ V + b) - gamma * y - epsilon * z)
        y = y + 0.1 * z
        return y, (y, z)

    return scan(cell, x, state)


@cornn.spelling
def cornn_side_by_side(scan, x, state, W, Wz, V, b, gamma, epsilon):
    n = W.shape[0]
    both, damping = tg.concatenate([W, Wz]), tg.repeat(tg.stack([gamma, epsilon]), n)

    def cell(x, s):
        force = tg.tanh(s @ both + x @ V + b) - tg.sum((s * damping).reshape(-1, 2, n), axis=1)
        z = s[:, n:] + 0.1 * force
        y = s[:, :n] + 0.1 * z
        return y, tg.concatenate([y, z], axis=1)

    ys, s = scan(cell, x, tg.concatenate(state, axis=1))
    return ys, tg.split(s, 2, axis=1)


@cornn.spelling
def cornn_with_an_axis_of_parts(scan, x, state, W, Wz, V, b, gamma, epsilon):
    weights, damping = tg.stack([W, Wz]), tg.stack([gamma, epsilon])

    def cell(x, s):
        force = tg.tanh(tg.einsum("pbi,pij->bj", s, weights) + x @ V + b) - tg.tensordot(damping, s, 1)
        z = s[1] + 0.1 * force
        s = tg.stack([s[0] + 0.1 * z, z])
        return s[0], s

    ys, s = scan(cell, x, tg.stack(state))
    return ys, tg.unstack(s)


@published
def lem(m):
    """Long expressive memory. Rusch et al. 2022, equation 3, with a step of 0.5."""
    n = m.width
    return m.x(4), (m.h(), m.h()), {"V": m.p(4, 4 * n), "W": m.p(n, 3 * n), "Wy": m.p(n, n), "b": m.p(4 * n)}


@lem.spelling
def lem_plain(scan, x, state, V, W, Wy, b):
    n = Wy.shape[0]

    def cell(x, state):
        y, z = state
        u, w = x @ V + b, y @ W
        step, step_bar = (
            0.5 * tg.sigmoid(u[:, :n] + w[:, :n]),
            0.5 * tg.sigmoid(u[:, n : 2 * n] + w[:, n : 2 * n]),
        )
        z = (1 - step) * z + step * tg.tanh(u[:, 2 * n : 3 * n] + w[:, 2 * n :])
        y = (1 - step_bar) * y + step_bar * tg.tanh(z @ Wy + u[:, 3 * n :])
        return y, (y, z)

    return scan(cell, x, state)


@lem.spelling
def lem_by_split_and_a_difference(scan, x, state, V, W, Wy, b):
    def cell(x, state):
        y, z = state
        *upper, last = tg.split(x @ V + b, 4, axis=-1)
        step, step_bar, new = (p + q for p, q in zip(upper, tg.split(y @ W, 3, axis=-1), strict=True))
        z = z + tg.sigmoid(step) / 2 * (tg.tanh(new) - z)
        y = y + tg.sigmoid(step_bar) / 2 * (tg.tanh(tg.tensordot(z, Wy, 1) + last) - y)
        return y, (y, z)

    return scan(cell, x, state)


@lem.spelling
def lem_weight_by_weight(scan, x, state, V, W, Wy, b):
    V, b = tg.split(V, 4, axis=1), tg.split(b, 4)
    W = [*tg.split(W, 3, axis=1), Wy]

    def sums(x, y, k):
        return tg.einsum("bi,ij->bj", x, V[k]) + tg.einsum("bi,ij->bj", y, W[k]) + b[k]

    def cell(x, state):
        y, z = state["y"], state["z"]
        step = 0.25 * (1 + tg.tanh(sums(x, y, 0) / 2))
        step_bar = 0.25 * (1 + tg.tanh(sums(x, y, 1) / 2))
        z = z - step * z + step * tg.tanh(sums(x, y, 2))
        y = y - step_bar * y + step_bar * tg.tanh(sums(x, z, 3))
        return y, {"y": y, "z": z}

    return scan(cell, x, {"y": state[0], "z": state[1]})


@published
def lipschitz_rnn(m):
    """Lipschitz RNN: both matrices are a symmetric and an antisymmetric part. Erichson et al. 2021, equations
    3 and 4, by Euler's step."""
    n = m.width
    return m.x(4), m.h(), {"Ma": m.p(n, n), "Mw": m.p(n, n), "V": m.p(4, n), "b": m.p(n)}


BETA, SHIFT, STEP = 0.65, 0.5, 0.2


@lipschitz_rnn.spelling
def lipschitz_rnn_matrices_in_the_cell(scan, x, h, Ma, Mw, V, b):
    def matrix(M):
        return (1 - BETA) * (M + M.T) + BETA * (M - M.T) - SHIFT * tg.eye(M.shape[0], dtype=M.dtype)

    def cell(x, h):
        h = h + STEP * (h @ matrix(Ma) + tg.tanh(h @ matrix(Mw) + x @ V + b))
        return h, h

    return scan(cell, x, h)


@lipschitz_rnn.spelling
def lipschitz_rnn_one_product(scan, x, h, Ma, Mw, V, b):
    """Both matrices are M + (1 − 2β) Mᵀ − γ I, side by side."""
    both = tg.concatenate(
        [M + (1 - 2 * BETA) * M.T - SHIFT * tg.identity(M.shape[0], M.dtype) for M in (Ma, Mw)], axis=1
    )

    def cell(x, h):
        linear, inner = tg.split(h @ both, 2, axis=-1)
        h = h + STEP * (linear + tg.tanh(inner + x @ V + b))
        return h, h

    return scan(cell, x, h)


@lipschitz_rnn.spelling
def lipschitz_rnn_of_one_vector_at_a_time(scan, x, h, Ma, Mw, V, b):
    def apply(M, h):
        return tg.einsum("bi,ij->bj", h, M) + (1 - 2 * BETA) * tg.einsum("bi,ji->bj", h, M) - SHIFT * h

    def cell(x, h):
        h = h + STEP * apply(Ma, h) + STEP * tg.tanh(apply(Mw, h) + tg.dot(x, V) + b)
        return h, h

    return scan(cell, x, h)
