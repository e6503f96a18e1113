"""Batches of samples, epoch after epoch, in an order that follows from a seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy

from .. import arguments, random
from ..errors import ArgumentError, CheckpointError
from ..ops import Nest
from .padding import Layout, Padding, Sequences
from .samples import Samples

Batch = TypeVar("Batch")

Plan = Callable[[numpy.random.Generator | None], numpy.ndarray]
"""The order of the samples in an epoch, from its chance; None where nothing is shuffled."""


class Passes(ABC, Generic[Batch]):
    """What is gone through again and again, one batch after the other: a place in it, which can be kept.

    Attributes:
        epoch: how many passes are over.
        position: how many batches of this pass came.
    """

    _described: ClassVar[tuple[str, ...]] = ()
    """Attributes that a state must agree with: the same place elsewhere would be another batch."""

    epoch: int = 0
    position: int = 0

    @abstractmethod
    def __len__(self) -> int:
        """How many batches a pass has."""

    @abstractmethod
    def _batch(self, position: int) -> Batch:
        """A batch of this pass."""

    def __iter__(self) -> Iterator[Batch]:
        """The batches of this pass that have not come yet. A loop that is left early is gone on with by the
        next one."""
        epoch = self.epoch
        while self.epoch == epoch:
            batch = self._batch(self.position)
            self._go(self.position + 1)
            yield batch

    def _go(self, position: int) -> None:
        over = position == len(self)
        self.epoch, self.position = self.epoch + over, 0 if over else position

    def state_dict(self) -> dict[str, Any]:
        """Where it is: numbers that JSON can hold. Loaded anywhere, exactly the batches come that would have
        come here."""
        described = {name: getattr(self, name) for name in self._described}
        return {"epoch": self.epoch, "position": self.position, **described}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another one of the same data stood.

        Raises:
            CheckpointError: the state is none of such batches, or of other data or another size.
        """
        name = type(self).__name__
        own = self.state_dict()
        if not isinstance(state, Mapping) or state.keys() != own.keys():
            raise CheckpointError(
                f"{name}.load_state_dict: state must be a dict with {', '.join(own)}, "
                f"not {arguments.shown(state)}"
            )
        for key in self._described:
            if type(state[key]) is not type(own[key]) or state[key] != own[key]:
                raise CheckpointError(
                    f"{name}.load_state_dict: state is of {key}={arguments.shown(state[key])}, and these "
                    f"have {key}={own[key]}: make them from the same data with the same arguments"
                )
        try:
            epoch, position = (
                arguments.whole(f"{name}.load_state_dict: {key} of state", state[key], 0)
                for key in ("epoch", "position")
            )
            if position >= len(self):
                raise arguments.refused(
                    f"{name}.load_state_dict: position of state", f"below {len(self)}", position
                )
            self._adopt(state)
        except ArgumentError as error:
            raise CheckpointError(str(error)) from error
        self.epoch, self.position = epoch, position

    def _adopt(self, state: Mapping[str, Any]) -> None:
        """Take over from a state what else the batches follow from."""


class Batches(Passes[Batch]):
    """Batches of samples: what :func:`tinygrad_rnn.data.batches` and :func:`tinygrad_rnn.data.bucket` return.

    A ``for`` loop over it is a pass, an epoch; the next loop is the next one. What came in an epoch does not
    come again in it: a loop that is left early is gone on with by the next one.

    >>> data = tg.data.batches(np.arange(5), 2, shuffle=False)
    >>> [batch.tolist() for batch in data], len(data), data.epoch
    ([[0, 1], [2, 3], [4]], 3, 1)
    >>> first = next(iter(data))
    >>> [batch.tolist() for batch in data]
    [[2, 3], [4]]
    """

    _described: ClassVar[tuple[str, ...]] = ("kind", "samples", "size", "shuffle", "drop_last")

    def __init__(
        self,
        call: str,
        samples: Samples,
        size: int,
        shuffle: bool,
        seed: Any,
        drop_last: bool,
        plan: Plan,
        pool: int | None = None,
    ) -> None:
        self.kind: str = call if pool is None else f"{call} of pool={pool}"
        self.size: int = arguments.size(f"{call}: size", size, 1)
        self.shuffle: bool = arguments.flag(f"{call}: shuffle", shuffle)
        self.drop_last: bool = arguments.flag(f"{call}: drop_last", drop_last)
        self.samples: int = samples.count
        seed = arguments.seed(f"{call}: seed", seed)
        if self.drop_last and self.samples < self.size:
            raise ArgumentError(
                f"{call}: size is {self.size}, and there are {self.samples} samples: with drop_last no batch "
                "is left"
            )
        self.seed: Any = int(random.generator().integers(2**62)) if seed is None else seed
        self._samples, self._plan = samples, plan
        self._order: tuple[Any, numpy.ndarray] | None = None

    def __len__(self) -> int:
        return self.samples // self.size if self.drop_last else -(-self.samples // self.size)

    def _batch(self, position: int) -> Batch:
        start = position * self.size
        return self._samples.take(self._ordered()[start : start + self.size])

    @property
    def is_in_order(self) -> bool:
        """Whether this epoch has the samples one after the other, as they were given."""
        return bool((numpy.diff(self._ordered()) == 1).all())

    def _ordered(self) -> numpy.ndarray:
        """The order of this epoch's samples."""
        key = self.epoch, self.seed
        if self._order is None or self._order[0] != key:
            start = numpy.random.SeedSequence(self.seed, spawn_key=(self.epoch,))
            self._order = key, self._plan(numpy.random.default_rng(start) if self.shuffle else None)
        return self._order[1]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "seed": self.seed}

    def _adopt(self, state: Mapping[str, Any]) -> None:
        seed = arguments.seed("Batches.load_state_dict: seed of state", state["seed"])
        if seed is None:
            raise arguments.refused("Batches.load_state_dict: seed of state", "a whole number", seed)
        self.seed = seed


@overload
def batches(
    data: numpy.ndarray,
    size: int,
    shuffle: bool = True,
    seed: int | list[int] | None = 0,
    drop_last: bool = False,
    *,
    value: float = 0,
    padding: Padding = None,
    batch_first: bool = False,
) -> Batches[numpy.ndarray]: ...


@overload
def batches(
    data: Nest,
    size: int,
    shuffle: bool = True,
    seed: int | list[int] | None = 0,
    drop_last: bool = False,
    *,
    value: float = 0,
    padding: Padding = None,
    batch_first: bool = False,
) -> Batches[Any]: ...


def batches(
    data: Any,
    size: int,
    shuffle: bool = True,
    seed: int | list[int] | None = 0,
    drop_last: bool = False,
    *,
    value: float = 0,
    padding: Padding = None,
    batch_first: bool = False,
) -> Batches[Any]:
    """Batches of data: each pass over them is an epoch with an order of its own, which follows from the seed
    and the number of the epoch.

    >>> x, y = np.arange(8.0).reshape(4, 2), [0, 1, 1, 0]
    >>> for features, classes in tg.data.batches((x, y), 3):
    ...     print(features.shape, classes.shape)
    (3, 2) (3,)
    (1, 2) (1,)
    >>> for x, lengths in tg.data.batches([[1, 2, 3], [4], [5, 6]], 3, shuffle=False):
    ...     print(x.T.tolist(), lengths.tolist())
    [[1, 2, 3], [4, 0, 0], [5, 6, 0]] [3, 1, 2]

    Args:
        data: an array (N, …): a batch is an array (B, …). Or a list of N numbers: an array (B,). Or a list of
            N sequences (Tᵢ, …): a pair as of :func:`tinygrad_rnn.data.pad_sequences`, padded to the longest
            of the batch. Or tuples and dicts of these, nested in any way: a batch is nested alike.
            Memory-mapped arrays are read batch by batch, and never whole.
        size: how many samples a batch has; the last one of a pass has what is left.
        shuffle: whether the order is another one in each epoch; else it is that of the data.
        seed: a whole number, or several. None is a new one of ``tg.random``.
        drop_last: leave out a last batch that is smaller.
        value, batch_first: how sequences are padded, as :func:`tinygrad_rnn.data.pad_sequences` has it.
        padding: in place of ``value``, one for each list of sequences, nested as the data: ``(0, -1)`` for
            data of (inputs, targets). Each is a number, or one for each feature; None, as for what is an
            array, is 0.

    Returns:
        An object to loop over, with ``len``, ``epoch`` and ``position``, and ``state_dict`` and
            ``load_state_dict`` to go on elsewhere.

    Raises:
        DataError: there are no samples, or, in a batch, a sequence that holds NaN is to be padded with a
            number.
        ShapeError, DtypeError: the parts of data do not fit each other.
        ArgumentError: another argument has a value that it cannot have.
    """
    samples = Samples("batches", data, Layout.checked("batches", value, padding, batch_first=batch_first))

    def plan(chance: numpy.random.Generator | None) -> numpy.ndarray:
        return numpy.arange(samples.count) if chance is None else chance.permutation(samples.count)

    return Batches("batches", samples, size, shuffle, seed, drop_last, plan)


def bucket(
    data: Nest,
    size: int,
    shuffle: bool = True,
    seed: int | list[int] | None = 0,
    drop_last: bool = False,
    *,
    pool: int = 100,
    value: float = 0,
    padding: Padding = None,
    batch_first: bool = False,
) -> Batches[Any]:
    """As :func:`tinygrad_rnn.data.batches`, with sequences of similar length in a batch, so that little is
    padded.

    Each epoch the samples are shuffled, taken in pools of so many batches, sorted by length inside of a pool
    and cut into batches, which are shuffled in turn. Of 3200 sequences with lengths drawn evenly from 1 to
    100, in batches of 32, padding is 48 % of all steps with ``batches``, and below 2 % here. What is left for
    a smaller last batch is drawn before sorting, so that no length is left out oftener than others.

    >>> sequences = [[0] * length for length in (9, 2, 8, 1)]
    >>> sorted(lengths.tolist() for x, lengths in tg.data.bucket(sequences, 2))
    [[1, 2], [8, 9]]
    >>> data = tg.data.bucket(([[5, 6], [7]], [[1, 2], [3]]), 2, shuffle=False, padding=(0, -1))
    >>> [(x.T.tolist(), y.T.tolist()) for (x, _), (y, _) in data]
    [([[7, 0], [5, 6]], [[3, -1], [1, 2]])]

    Args:
        data: a list of sequences; or tuples and dicts with one in it, whose lengths count: the first.
        shuffle: without it samples come from the shortest to the longest, and ``drop_last`` leaves out the
            longest.
        pool: how many batches are sorted together: with more, less is padded, and batches are less mixed.
        value, padding, batch_first: as of ``batches``.

    Raises:
        ArgumentError: there is no list of sequences in data, or an argument has a value that it cannot have.
        DataError, ShapeError, DtypeError: as of ``batches``.
    """
    samples = Samples("bucket", data, Layout.checked("bucket", value, padding, batch_first=batch_first))
    lists = [column for column in samples.columns if isinstance(column, Sequences)]
    if not lists:
        raise ArgumentError("bucket: data holds no list of sequences: batches takes what has no lengths")
    lengths = lists[0].lengths
    size = arguments.size("bucket: size", size, 1)
    pooled = size * arguments.size("bucket: pool", pool, 1)
    full = samples.count // size * size

    def plan(chance: numpy.random.Generator | None) -> numpy.ndarray:
        if chance is None:
            return numpy.argsort(lengths, kind="stable")
        order = chance.permutation(samples.count)
        for start in range(0, full, pooled):
            part = order[start : min(start + pooled, full)]
            rows = part[numpy.argsort(lengths[part], kind="stable")].reshape(-1, size)
            part[:] = chance.permutation(rows).ravel()
        return order

    return Batches("bucket", samples, size, shuffle, seed, drop_last, plan, pool)


__all__ = ["Batches", "Passes", "batches", "bucket"]
