"""Operations for random cells: any rank, any dtype, any routing."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_rnn as tg

MOST = 200
"""Elements of a value."""


class Maker:
    """Draws the operations of a cell: each is a function of the list of values so far."""

    def __init__(self, number: int) -> None:
        self.rng = np.random.default_rng([number, 11])
        self.batch = int(self.rng.choice([1, 2, 5]))
        self.dtype = str(self.rng.choice(["float32", "float64", "float64"]))
        self.leaves: list[Any] = []
        self.lines: list[str] = []

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def one_of(self, things: Any) -> Any:
        return things[self.whole(0, len(things))]

    def shape(self) -> tuple[int, ...]:
        return (
            *([self.batch] if self.rng.random() < 0.8 else []),
            *(self.whole(1, 4) for _ in range(self.whole(0, 4))),
        )

    def tensor(self, shape: tuple[int, ...], grad: float = 0.8) -> Any:
        x = tg.tensor(
            self.rng.normal(size=shape) * 0.7, self.dtype, requires_grad=bool(self.rng.random() < grad)
        )
        if x.requires_grad:
            self.leaves.append(x)
        return x


def _axes(m: Maker, x: Any) -> Any:
    if x.ndim == 0 or m.rng.random() < 0.2:
        return None
    return tuple(int(a) for a in m.rng.permutation(x.ndim)[: m.whole(1, x.ndim + 1)])


def _index(m: Maker, x: Any) -> Any:
    """An index of numbers, slices, new axes, "..." and arrays."""
    parts: list[Any] = []
    arrays = m.rng.random() < 0.3
    count = m.whole(1, 4)
    for n in x.shape[: m.whole(0, x.ndim + 1)]:
        way = m.whole(0, 4)
        if arrays and way < 2:
            parts.append(m.rng.integers(-n, n, count))
        elif way == 0:
            parts.append(m.whole(-n, n))
        elif way == 1:
            parts.append(slice(None, None, m.one_of([1, -1, 2, -2])))
        elif way == 2:
            start = m.whole(0, n)
            parts.append(slice(start, m.whole(start + 1, n + 1)))
        else:
            parts.append(slice(None))
    if m.rng.random() < 0.3:
        parts.insert(m.whole(0, len(parts) + 1), None)
    if len(parts) < x.ndim and m.rng.random() < 0.3:
        parts.append(...)
    return tuple(parts)


def _floats(values: list[Any]) -> list[Any]:
    return [v for v in values if v.dtype.kind == "f"]


def _unary(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(_floats(values))
    name = m.one_of(
        [
            "tanh",
            "sigmoid",
            "sin",
            "abs",
            "negative",
            "softplus",
            "erf",
            "cos",
            "expm1",
            "relu",
            "floor",
            "sign",
            "gelu",
            "arctan",
        ]
    )
    return name, [x], lambda x: getattr(tg, name)(x * 0.5)


def _binary(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(values)
    partners = [y for y in values if broadcast(x, y)]
    y = m.one_of(partners)
    if "b" in (x.dtype.kind, y.dtype.kind):
        return "where", [x, y], lambda x, y: tg.where(x > 0.1, y, 0)
    name = m.one_of(
        [
            "add",
            "subtract",
            "multiply",
            "maximum",
            "minimum",
            "greater",
            "less_equal",
            "mix",
            "hypot",
            "equal",
        ]
    )
    if name == "mix":
        return name, [x, y], lambda x, y: tg.where(x > y, x, y * 0.5)
    return name, [x, y], getattr(tg, name)


def broadcast(x: Any, y: Any) -> bool:
    try:
        return bool(np.prod(np.broadcast_shapes(x.shape, y.shape)) <= MOST)
    except ValueError:
        return False


def _reduction(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(_floats(values))
    axes, keep = _axes(m, x), bool(m.rng.random() < 0.5)
    name = m.one_of(["sum", "mean", "max", "min", "softmax", "logsumexp", "var", "norm"])
    if name == "softmax":
        axis = None if x.ndim == 0 else m.whole(0, x.ndim)
        return name, [x], (lambda x: tg.softmax(x, axis=axis)) if axis is not None else tg.tanh
    if name == "norm":
        return f"norm {axes}", [x], lambda x: tg.sqrt(tg.sum(x * x, axis=axes, keepdims=keep) + 0.1)
    return f"{name} {axes} {keep}", [x], lambda x: getattr(tg, name)(x, axis=axes, keepdims=keep)


def _choice(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(_floats(values))
    if x.ndim == 0:
        return "isfinite", [x], tg.isfinite
    axis, name = m.whole(0, x.ndim), m.one_of(["argmax", "argmin", "any", "all", "astype"])
    if name == "astype":
        dtype = m.one_of(["int32", "int64", "float32", "float64", "bool"])
        return dtype, [x], lambda x: (x * 3).astype(dtype)
    if name in ("any", "all"):
        return name, [x], lambda x: getattr(tg, name)(x > -0.5, axis=axis)
    return f"{name} {axis}", [x], lambda x: getattr(tg, name)(x, axis=axis)


def _routing(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(values)
    ways = ["reshape", "getitem", "new axis"]
    if x.ndim:
        ways += ["transpose", "flip", "roll", "getitem", "getitem", "cumsum", "pad", "repeat"]
    if x.ndim > 1:
        ways += ["tril", "triu"]
    way = m.one_of(ways)
    if way == "reshape":
        cuts = [n for n in range(1, x.size + 1) if x.size % n == 0]
        first = m.one_of(cuts)
        second = m.one_of([n for n in cuts if (x.size // first) % n == 0])
        shape = (first, second, x.size // first // second)
        return f"reshape {shape}", [x], lambda x: tg.reshape(x, shape)
    if way == "getitem":
        index = _index(m, x)
        return f"getitem {index}", [x], lambda x: x[index]
    if way == "new axis":
        shape = (m.whole(1, 4), *x.shape)
        return (
            f"broadcast_to {shape}",
            [x],
            (lambda x: tg.broadcast_to(x, shape)) if np.prod(shape) <= MOST else (lambda x: x),
        )
    if way == "transpose":
        axes = tuple(int(a) for a in m.rng.permutation(x.ndim))
        return f"transpose {axes}", [x], lambda x: tg.transpose(x, axes)
    axis = m.whole(0, x.ndim)
    if way == "pad":
        widths = [(m.whole(0, 2), m.whole(0, 2)) for _ in x.shape]
        return f"pad {widths}", [x], lambda x: tg.pad(x, widths)
    if way == "repeat":
        return f"repeat {axis}", [x], lambda x: tg.repeat(x, 2, axis=axis)
    if way == "roll":
        shift = m.whole(-2, 3)
        return f"roll {shift} {axis}", [x], lambda x: tg.roll(x, shift, axis=axis)
    if way in ("tril", "triu"):
        k = m.whole(-1, 2)
        return f"{way} {k}", [x], lambda x: getattr(tg, way)(x, k)
    if way == "cumsum" and x.dtype.kind != "f":
        return "abs", [x], lambda x: tg.abs(x) if x.dtype.kind == "i" else x
    return f"{way} {axis}", [x], lambda x: getattr(tg, way)(x, axis=axis)


def _joining(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(values)
    way = m.one_of(["stack", "concatenate", "split", "unstack"])
    if way == "stack" or not x.ndim:
        y = m.one_of([y for y in values if y.shape == x.shape])
        axis = m.whole(0, x.ndim + 1)
        return f"stack {axis}", [x, y], lambda x, y: tg.stack([x, y, x], axis=axis)
    axis = m.whole(0, x.ndim)
    if way == "concatenate":
        same = [
            y
            for y in values
            if y.ndim == x.ndim
            and all(a == b for i, (a, b) in enumerate(zip(x.shape, y.shape, strict=True)) if i != axis)
        ]
        y = m.one_of(same)
        return f"concatenate {axis}", [x, y], lambda x, y: tg.concatenate([x, y], axis=axis)
    if way == "split" and x.shape[axis] > 1:
        cut, which = m.whole(1, x.shape[axis]), m.whole(0, 2)
        return f"split {cut} {axis}: {which}", [x], lambda x: tg.split(x, [cut], axis=axis)[which]
    which = m.whole(0, x.shape[axis])
    return f"unstack {axis}: {which}", [x], lambda x: tg.unstack(x, axis)[which]


def _product(m: Maker, values: list[Any]) -> Any:
    x = m.one_of(_floats(values))
    if x.ndim == 0:
        return "square", [x], lambda x: x * x
    way = m.one_of(["weight", "weight", "einsum", "einsum", "self"])
    if way == "weight":
        w = m.tensor((x.shape[-1], m.whole(1, 4)))
        turned = bool(m.rng.random() < 0.5)
        weight = tg.tensor(w.numpy().T.copy(), w.dtype, requires_grad=True) if turned else w
        if turned:
            m.leaves.append(weight)
        return f"@ {w.shape} {turned}", [x], lambda x: x @ (weight.T if turned else weight)
    if way == "self":
        return (
            "self attention",
            [x],
            lambda x: tg.einsum("...i,...j->...ij", x, x) if x.size * x.shape[-1] <= MOST else x,
        )
    y = m.one_of([y for y in _floats(values) if y.ndim])
    letters = dict(zip("abcd", x.shape, strict=False))
    word = ""
    for n in y.shape:  # a letter of the same length, or a new one
        same = [a for a, length in letters.items() if length == n and a not in word]
        word += (
            m.one_of(same)
            if same and m.rng.random() < 0.7
            else next(a for a in "efghijkl" if a not in letters and a not in word)
        )
        letters[word[-1]] = n
    every = sorted(letters)
    output = "".join(a for a in m.rng.permutation(every) if m.rng.random() < 0.6)
    if len(x.shape) > 4 or np.prod([letters[a] for a in output], dtype=int) > MOST:
        return "mean", [x], tg.mean
    text = f"{'abcd'[: x.ndim]},{word}->{output}"
    return text, [x, y], lambda x, y: tg.einsum(text, x, y)


def _lookup(m: Maker, values: list[Any]) -> Any:
    x = m.one_of([v for v in values if v.ndim])
    axis = m.whole(0, x.ndim)
    n = x.shape[axis]
    numbers = [v for v in values if v.dtype.kind == "i" and v.ndim <= 2 and v.size * x.size // n <= MOST]
    source = m.one_of(numbers) if numbers else None
    if source is None:
        y = m.one_of(_floats(values))
        return "counted", [y], lambda y: tg.floor(tg.abs(y) * 2).astype("int64")
    if m.rng.random() < 0.5:
        return f"take {axis}", [x, source], lambda x, k: tg.take(x, k % n, axis=axis)
    index = m.rng.integers(0, n, [m.whole(1, 3) if i == axis else length for i, length in enumerate(x.shape)])
    return f"along {axis}", [x], lambda x: tg.take_along_axis(x, index, axis=axis)


KINDS = [
    _unary,
    _unary,
    _binary,
    _binary,
    _reduction,
    _choice,
    _routing,
    _routing,
    _routing,
    _joining,
    _joining,
    _product,
    _product,
    _lookup,
]
