"""Linear state spaces: discretised, diagonal, complex by real and imaginary parts, with steps that x
chooses."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import published


@published
def lru(m):
    """Linear recurrent unit, complex and diagonal. Orvieto et al. 2023, equations 6 to 8; here in real and
    imaginary parts."""
    n = m.width
    weights = {
        "nu": m.p(n),
        "theta": m.p(n),
        "gamma": m.p(n),
        "B": m.p(2, 4, n),
        "C": m.p(2, n, 2),
        "D": m.p(4, 2),
    }
    return m.x(4), (m.h(), m.h()), weights


@lru.spelling
def lru_in_two_parts(scan, x, state, nu, theta, gamma, B, C, D):
    def cell(x, state):
        re, im = state
        size = tg.exp(-tg.exp(nu))
        a, b = size * tg.cos(tg.exp(theta)), size * tg.sin(tg.exp(theta))
        re, im = a * re - b * im + tg.exp(gamma) * (x @ B[0]), a * im + b * re + tg.exp(gamma) * (x @ B[1])
        return re @ C[0] - im @ C[1] + x @ D, (re, im)

    return scan(cell, x, state)


@lru.spelling
def lru_with_an_axis_of_parts(scan, x, state, nu, theta, gamma, B, C, D):
    """The state is (B, 2, hidden), turned by a matrix for each unit."""

    def cell(x, z):
        angle = tg.exp(theta)
        turn = tg.stack(
            [tg.stack([tg.cos(angle), -tg.sin(angle)]), tg.stack([tg.sin(angle), tg.cos(angle)])]
        ) * tg.exp(-tg.exp(nu))
        z = tg.einsum("pqn,bqn->bpn", turn, z) + tg.exp(gamma) * tg.einsum("bi,pin->bpn", x, B)
        return tg.tensordot(z * tg.tensor([[1.0], [-1.0]], z.dtype), C, axes=([1, 2], [0, 1])) + x @ D, z

    ys, z = scan(cell, x, tg.stack(state, axis=1))
    return ys, (z[:, 0], z[:, 1])


@lru.spelling
def lru_side_by_side(scan, x, state, nu, theta, gamma, B, C, D):
    """Both parts in one row: roll exchanges them."""
    n = nu.shape[0]
    size, angle = tg.tile(tg.exp(-tg.exp(nu)), 2), tg.tile(tg.exp(theta), 2)
    same, other = (
        size * tg.cos(angle),
        tg.concatenate([-tg.ones(n, nu.dtype), tg.ones(n, nu.dtype)]) * size * tg.sin(angle),
    )
    put = tg.concatenate([B[0], B[1]], axis=1) * tg.tile(tg.exp(gamma), 2)
    read = tg.concatenate([C[0], -C[1]])

    def cell(x, z):
        z = same * z + other * tg.roll(z, n, axis=1) + x @ put
        return z @ read + x @ D, z

    ys, z = scan(cell, x, tg.concatenate(state, axis=1))
    return ys, tg.split(z, 2, axis=1)


@published
def s4d(m):
    """S4D: for each feature a complex diagonal system, held at zeroth order. Gu et al. 2022, equations 2 to 5
    and listing 1."""
    n = m.width
    weights = {"log_step": m.p(n), "log_decay": m.p(n, 2), "turn": m.p(n, 2), "C": m.p(2, n, 2), "D": m.p(n)}
    return m.x(n), (m.data(m.batch, n, 2), m.data(m.batch, n, 2)), weights


@s4d.spelling
def s4d_in_two_parts(scan, x, state, log_step, log_decay, turn, C, D):
    def cell(x, state):
        re, im = state
        step, decay = tg.exp(log_step)[:, None], tg.exp(log_decay)
        size = tg.exp(-step * decay)
        a, b = size * tg.cos(step * turn), size * tg.sin(step * turn)
        norm = decay**2 + turn**2  # (Ā − 1) / A, with A = −decay + turn·i
        p, q = (-(a - 1) * decay + b * turn) / norm, (-b * decay - (a - 1) * turn) / norm
        re, im = a * re - b * im + p * x[:, :, None], a * im + b * re + q * x[:, :, None]
        y = 2 * tg.sum(C[0] * re - C[1] * im, axis=-1) + D * x
        return y, (re, im)

    return scan(cell, x, state)


def held(
    log_step: tg.Tensor, log_decay: tg.Tensor, turn: tg.Tensor
) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor, tg.Tensor]:
    """exp(ΔA) and (exp(ΔA) − 1) / A by their parts."""
    step, decay = tg.exp(log_step).reshape(-1, 1), tg.exp(log_decay)
    a, b = tg.exp(-step * decay) * tg.cos(step * turn), tg.exp(-step * decay) * tg.sin(step * turn)
    below = tg.square(decay) + tg.square(turn)
    return a, b, (decay * (1 - a) + turn * b) / below, (turn * (1 - a) - decay * b) / below


@s4d.spelling
def s4d_flat(scan, x, state, log_step, log_decay, turn, C, D):
    """States (B, H · N), parameters made before the loop."""
    n = D.shape[0]
    a, b, p, q = (part.reshape(-1) for part in held(log_step, log_decay, turn))
    C = tg.reshape(C, (2, -1))

    def cell(x, state):
        re, im = state
        wide = tg.repeat(x, 2, axis=1)
        re, im = a * re - b * im + p * wide, a * im + b * re + q * wide
        y = 2 * tg.sum((C[0] * re - C[1] * im).reshape(-1, n, 2), -1) + D * x
        return y, (re, im)

    ys, last = scan(cell, x, tuple(s.reshape(s.shape[0], -1) for s in state))
    return ys, [s.reshape(-1, n, 2) for s in last]


@s4d.spelling
def s4d_with_an_axis_of_parts(scan, x, state, log_step, log_decay, turn, C, D):
    """The state is (B, H, N, 2)."""

    def cell(x, z):
        a, b, p, q = held(log_step, log_decay, turn)
        rotation = tg.stack([tg.stack([a, -b], -1), tg.stack([b, a], -1)], -2)
        z = (rotation @ z[..., None])[..., 0] + tg.stack([p, q], axis=-1) * x[..., None, None]
        y = 2 * tg.einsum("phn,bhnp->bh", C * tg.tensor([1.0, -1.0], x.dtype)[:, None, None], z) + D * x
        return y, z

    ys, z = scan(cell, x, tg.stack(state, axis=-1))
    return ys, (z[..., 0], z[..., 1])


@published
def s6(m):
    """S6, the selective state space of Mamba. Gu & Dao 2023, algorithm 2; B̄ = Δ B as in their code."""
    n = m.width
    weights = {
        "log_A": m.p(n, 2),
        "WB": m.p(n, 2),
        "WC": m.p(n, 2),
        "WD": m.p(n, n),
        "bias": m.p(n),
        "D": m.p(n),
    }
    return m.x(n), m.data(m.batch, n, 2), weights


@s6.spelling
def s6_by_broadcasting(scan, x, h, log_A, WB, WC, WD, bias, D):
    def cell(x, h):
        step = tg.softplus(x @ WD + bias)
        h = tg.exp(step[:, :, None] * -tg.exp(log_A)) * h + (step * x)[:, :, None] * (x @ WB)[:, None, :]
        y = tg.sum(h * (x @ WC)[:, None, :], axis=-1) + D * x
        return y, h

    return scan(cell, x, h)


@s6.spelling
def s6_by_einsum(scan, x, h, log_A, WB, WC, WD, bias, D):
    A = -tg.exp(log_A)

    def cell(x, h):
        step = tg.log1p(tg.exp(tg.einsum("bi,ij->bj", x, WD) + bias))
        h = tg.exp(tg.einsum("bh,hn->bhn", step, A)) * h + tg.einsum("bh,bn,bh->bhn", step, x @ WB, x)
        y = tg.einsum("bhn,bn->bh", h, x @ WC) + D * x
        return y, h

    return scan(cell, x, h)


@s6.spelling
def s6_flat(scan, x, h, log_A, WB, WC, WD, bias, D):
    """The state (B, H · N); products of x before the loop."""
    n = D.shape[0]
    A = -tg.exp(log_A).reshape(-1)

    def cell(xs, h):
        x, step, b, c = xs
        h = tg.exp(tg.repeat(step, 2, axis=1) * A) * h + tg.repeat(step * x, 2, axis=1) * tg.tile(b, (1, n))
        y = tg.squeeze(tg.reshape(h, (-1, n, 2)) @ c[:, :, None], 2) + D * x
        return y, h

    ys, h = scan(cell, (x, tg.logaddexp(x @ WD + bias, 0), x @ WB, x @ WC), h.reshape(h.shape[0], -1))
    return ys, h.reshape(-1, n, 2)
