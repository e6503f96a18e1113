"""Tasks that need a memory, drawn by chance: what recurrent networks have been compared on since 1997.

Each function returns NumPy arrays, time first, that follow from its seed. What a network reaches that has
seen the targets and never the inputs is told with each: one that does no better has learned nothing.
"""

from __future__ import annotations

from typing import Any

import numpy

from .. import arguments, random
from ..arguments import DTypeLike
from ..tape import host


def adding_problem(
    length: int, batch: int, seed: int | list[int] | None = 0, dtype: DTypeLike | None = None
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The adding problem: two of many numbers are marked, and the answer is their sum.

    Hochreiter & Schmidhuber, "Long short-term memory" (1997), task 4, as Martens & Sutskever, "Learning
    recurrent neural networks with Hessian-free optimization" (2011), and most others since have it: numbers
    from 0 to 1 and the sum itself. One mark is in the first half, the other one in the second (Arjovsky, Shah
    & Bengio 2016).

    Who always answers 1 has a mean squared error of 1/6, the variance of the sum.

    >>> x, y = tg.data.adding_problem(20, 32)
    >>> x.shape, y.shape
    ((20, 32, 2), (32, 1))
    >>> np.allclose((x[..., 0] * x[..., 1]).sum(0), y[:, 0])
    True

    Args:
        length: how many numbers there are, two at least.
        batch: how many sequences.
        seed: a whole number, or several. None is a new one of ``tg.random``.
        dtype: of the arrays, the default one by default.

    Returns:
        x (length, batch, 2), at each step a number, evenly from 0 to below 1, and its mark, 1 at two steps
            and 0 at the others; and the sums (batch, 1).

    Raises:
        ArgumentError, ShapeError, DtypeError: an argument has a value that it cannot have.
    """
    length, batch = _sizes("adding_problem", length, batch, 2)
    dtype, chance = _dtype("adding_problem", dtype), _chance("adding_problem", seed)
    x = numpy.zeros((length, batch, 2), dtype)
    x[..., 0] = chance.random((length, batch))
    numpy.minimum(x, numpy.nextafter(dtype.type(1), dtype.type(0)), out=x)  # which rounding may reach
    places, middle = numpy.arange(batch), length // 2
    first, second = chance.integers(0, middle, batch), chance.integers(middle, length, batch)
    x[first, places, 1] = x[second, places, 1] = 1
    return x, (x[first, places, 0] + x[second, places, 0])[:, None]


def copying_memory(
    delay: int, batch: int, symbols: int = 10, alphabet: int = 8, seed: int | list[int] | None = 0
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The copying task: symbols come, then a long nothing, then a sign, and they must be said again.

    From Hochreiter & Schmidhuber, "Long short-term memory" (1997), in the form of Arjovsky, Shah & Bengio,
    "Unitary evolution recurrent neural networks" (2016), section 5.1, with their sizes by default: class
    numbers, of which ``alphabet`` is the blank and ``alphabet + 1`` the sign.

        inputs    s₁ … sₙ, delay − 1 blanks, the sign, n blanks
        targets   n + delay blanks, s₁ … sₙ

    Who says blank until the sign, and then guesses, has a mean cross entropy of n · ln(alphabet) / (delay +
    2n) nats a step; over the last n steps alone, ln(alphabet).

    >>> x, y = tg.data.copying_memory(3, 1, symbols=2, alphabet=4)
    >>> x.ravel().tolist()
    [3, 2, 4, 4, 5, 4, 4]
    >>> y.ravel().tolist()
    [4, 4, 4, 4, 4, 3, 2]

    Args:
        delay: how many steps lie between the last symbol and the first answer.
        batch: how many sequences.
        symbols: how many must be kept: n.
        alphabet: how many kinds there are.
        seed: as of :func:`adding_problem`.

    Returns:
        Inputs and targets (delay + 2n, batch), int64, below ``alphabet + 2``: for :class:`tg.nn.Embedding`,
            or :func:`tg.one_hot`.

    Raises:
        ArgumentError, ShapeError: an argument has a value that it cannot have.
    """
    delay, batch = _sizes("copying_memory", delay, batch, 1, "delay")
    count = arguments.size("copying_memory: symbols", symbols, 1)
    blank = arguments.size("copying_memory: alphabet", alphabet, 1)
    shape = arguments.shape(
        "copying_memory: the shape (delay + 2 symbols, batch)", (delay + 2 * count, batch)
    )
    said = _chance("copying_memory", seed).integers(0, blank, (count, batch))
    x = numpy.full(shape, blank, numpy.int64)
    y = x.copy()
    x[:count], x[count + delay - 1], y[count + delay :] = said, blank + 1, said
    return x, y


def temporal_order(
    length: int, batch: int, relevant: int = 2, seed: int | list[int] | None = 0
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Temporal order: a few of many symbols are X or Y, and their order is the class.

    Hochreiter & Schmidhuber, "Long short-term memory" (1997), tasks 6a (``relevant=2``, four classes) and 6b
    (``relevant=3``, eight); four make sixteen. In a sequence of 100 the two stand from 10 to 20 and from 50
    to 60, the three from 10 to 20, 33 to 43 and 66 to 76, the four from 10 to 20, 25 to 35, 50 to 60 and 75
    to 85; in others in the same shares. (There the length was drawn too, from 100 to 110.)

    A blind guess has a cross entropy of ``relevant`` · ln 2 nats, and is right once in 2 ** ``relevant``.

    >>> x, y = tg.data.temporal_order(20, 1)
    >>> "".join("abcdEBXY"[symbol] for symbol in x[:, 0]), y.tolist()
    ('EccbXaaaadYdccdccccB', [1])

    Args:
        length: how many symbols a sequence has, 20 at least.
        batch: how many sequences.
        relevant: how many X or Y there are: 2, 3 or 4.
        seed: as of :func:`adding_problem`.

    Returns:
        The symbols (length, batch), int64, in the order a, b, c, d, E, B, X, Y; and the classes (batch,),
            int64, where X is a 0 and Y a 1 of a binary number: XX is 0, XY 1, YX 2, YY 3.

    Raises:
        ArgumentError, ShapeError: an argument has a value that it cannot have.
    """
    length, batch = _sizes("temporal_order", length, batch, 20)
    count = arguments.size("temporal_order: relevant", relevant, 2)
    if count > 4:
        raise arguments.refused("temporal_order: relevant", "2, 3 or 4", relevant)
    chance = _chance("temporal_order", seed)
    x = chance.integers(0, 4, (length, batch))
    x[0], x[-1] = 4, 5
    bits = chance.integers(0, 2, (count, batch))
    for i in range(count):
        start = length * i // count if i else length // 10
        x[start + chance.integers(0, length // 10 + 1, batch), numpy.arange(batch)] = 6 + bits[i]
    return x, 2 ** numpy.arange(count)[::-1] @ bits


def parity(
    length: int,
    batch: int,
    outputs: str = "last",
    seed: int | list[int] | None = 0,
    dtype: DTypeLike | None = None,
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Parity of so many bits: whether an odd number of them is 1.

    Minsky & Papert, "Perceptrons" (1969); as a task of latching over time Bengio, Simard & Frasconi,
    "Learning long-term dependencies with gradient descent is difficult" (1994).

    A blind guess has a cross entropy of ln 2 nats and is right half of the time; and so is who misses a
    single bit.

    >>> x, y = tg.data.parity(4, 1, outputs="all")
    >>> x.ravel().tolist(), y.ravel().tolist()
    ([1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0])

    Args:
        length: how many bits a sequence has.
        batch: how many sequences.
        outputs: ``"last"`` for the parity of the whole, ``"all"`` for that of the bits up to each step.
        seed: as of :func:`adding_problem`.
        dtype: of the arrays, the default one by default.

    Returns:
        The bits (length, batch, 1); and their parity (batch, 1), or (length, batch, 1) with ``"all"``: each 0
            or 1, as :func:`tg.bce_with_logits` takes it.

    Raises:
        ArgumentError, ShapeError, DtypeError: an argument has a value that it cannot have.
    """
    length, batch = _sizes("parity", length, batch, 1)
    outputs = arguments.choice("parity: outputs", outputs, ("last", "all"))
    dtype, chance = _dtype("parity", dtype), _chance("parity", seed)
    bits = chance.integers(0, 2, (length, batch, 1))
    odd = bits.cumsum(0) % 2
    return bits.astype(dtype), (odd if outputs == "all" else odd[-1]).astype(dtype)


def spike_timing(
    length: int,
    batch: int,
    least: int = 10,
    spread: int = 10,
    task: str = "measure",
    seed: int | list[int] | None = 0,
    dtype: DTypeLike | None = None,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Spikes whose distance counts: to be measured, or to be made.

    After Gers, Schraudolph & Schmidhuber, "Learning precise timing with LSTM recurrent networks" (2002): the
    n-th interval is ``least`` + Iₙ steps, where Iₙ is evenly one of 0 … ``spread``.

        "measure"    spikes come in, the first at step 0; at each of the others the answer is Iₙ / spread
                     (measuring spike delays)
        "generate"   Iₙ / spread comes in, as long as the interval lasts; the answer is 1 at its last step,
                     and 0 at all others (generating timed spikes)

    Without a spread all intervals are ``least``, and Iₙ / spread is 0: a rhythm.

    To "measure", who always answers ½ has a mean squared error of (spread + 2) / (12 · spread). To
    "generate", who knows nothing but that a share p of the steps has a spike, about 1 / (least + spread / 2),
    has a cross entropy of −p · ln p − (1 − p) · ln(1 − p).

    >>> x, y, counts = tg.data.spike_timing(12, 1, least=3, spread=2)
    >>> x.ravel().astype(int).tolist()
    [1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]
    >>> y[counts].tolist()
    [1.0, 0.5]
    >>> tg.data.spike_timing(6, 1, 3, 0, "generate")[1].ravel().tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]

    Args:
        length: how many steps a sequence has. An interval that is not over then has no answer.
        batch: how many sequences.
        least: the shortest interval, F in the paper.
        spread: how much longer the longest one is, I in the paper.
        task: "measure" or "generate".
        seed: as of :func:`adding_problem`.
        dtype: of the first two arrays, the default one by default.

    Returns:
        Inputs and targets (length, batch, 1); and a bool array like them, of where the targets count: for
            "measure" at the spikes that end an interval, for "generate" everywhere.

    Raises:
        ArgumentError, ShapeError, DtypeError: an argument has a value that it cannot have.
    """
    length, batch = _sizes("spike_timing", length, batch, 1)
    least = arguments.size("spike_timing: least", least, 1)
    spread = arguments.size("spike_timing: spread", spread)
    measured = arguments.choice("spike_timing: task", task, ("measure", "generate")) == "measure"
    dtype, chance = _dtype("spike_timing", dtype), _chance("spike_timing", seed)
    longer = chance.integers(0, spread + 1, (-(-length // least), batch))
    # the first step after each interval; behind the last step it may be any
    ends = numpy.minimum(least + longer, length + 1).cumsum(0)
    values = (longer / max(spread, 1)).astype(dtype)
    x, y, counts = (numpy.zeros((length, batch, 1), kind) for kind in (dtype, dtype, bool))
    last = ends if measured else ends - 1
    n, places = numpy.nonzero(last < length)
    steps = last[n, places]
    if measured:
        x[0], x[steps, places, 0] = 1, 1
        y[steps, places, 0] = values[n, places]
        counts[steps, places, 0] = True
        return x, y, counts
    y[steps, places, 0] = 1
    for j in range(batch):
        x[:, j, 0] = values[numpy.searchsorted(ends[:, j], numpy.arange(length), side="right"), j]
    return x, y, ~counts


def _sizes(name: str, length: Any, batch: Any, least: int, called: str = "length") -> tuple[int, int]:
    length = arguments.size(f"{name}: {called}", length, least)
    batch = arguments.size(f"{name}: batch", batch, 1)
    arguments.shape(f"{name}: the shape ({called}, batch)", (length, batch))
    return length, batch


def _dtype(name: str, dtype: Any) -> numpy.dtype[Any]:
    return host.default_dtype if dtype is None else arguments.float_dtype(f"{name}: dtype", dtype)


def _chance(name: str, seed: Any) -> numpy.random.Generator:
    seed = arguments.seed(f"{name}: seed", seed)
    return numpy.random.default_rng(int(random.generator().integers(2**62)) if seed is None else seed)


__all__ = ["adding_problem", "copying_memory", "parity", "spike_timing", "temporal_order"]
