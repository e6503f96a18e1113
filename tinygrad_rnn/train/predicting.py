"""What a model says of batches, for all samples together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy

from .. import arguments, tree
from ..data.batching import Batches, Passes
from ..data.streams import Windows
from ..errors import ArgumentError, DataError, ShapeError
from ..nn.modes import evaluating
from ..ops import zeros
from ..tape import host_values, no_grad
from ..tensor import Tensor
from .batch import Through, checked_batches
from .padded import are_padded


@no_grad()
def predict(
    model: Callable[..., Any],
    data: Iterable[Any],
    *,
    targets: bool = True,
    batch_axis: Any = None,
    carry: bool = False,
) -> Any:
    """The outputs of a model for all batches, joined, without a tape and in evaluation mode. Each module is
    afterwards in training or not, as it was.

    >>> model = tg.nn.Linear(3, 2)
    >>> x, y = np.ones((10, 3), "float32"), np.zeros(10, "int64")
    >>> tg.train.predict(model, tg.data.batches((x, y), 4, shuffle=False)).shape
    (10, 2)
    >>> gru = tg.nn.GRU(3, 5)
    >>> ys, last = tg.train.predict(gru, [(np.ones((7, 4, 3), "float32"),)] * 2, targets=False, batch_axis=1)
    >>> ys.shape, last.shape
    ((7, 8, 5), (1, 8, 5))

    Args:
        model: a module, or any function.
        data: batches as :func:`fit` takes them: tuples of what the model is called with and, last, the
            targets, which are left out.
        targets: whether a batch ends with targets. Without, a tuple is all that the model is called with, and
            anything else is its one argument. ``tg.data.batches((sequences,), size)`` gives batches
            ((x, lengths),), and the model is called with the pair.
        batch_axis: which axis of the outputs has the samples: 1 of (T, B, …), 0 of (B, …) and (B, T, …); or
            one for each output, nested as they are. By default 0 for outputs of one axis or two. Those of
            more axes may be either, so it has to be said.
        carry: as of :func:`fit`. Each batch then goes on in time where the one before ended, so outputs are
            joined along the steps: along axis 0 if ``batch_axis`` is 1, the default here, and along axis 1 if
            it is 0.

    Returns:
        Arrays on the host, nested as the outputs. Where batches have different numbers of steps, a list of
            arrays, one for each batch.

    Raises:
        ArgumentError: an argument is of another kind, ``batch_axis`` is missing, or the batches do not come
            in the order of the samples: shuffled, or from ``tg.data.bucket``.
        DataError: there are no batches, or one is none.
        ShapeError: outputs have no such axis, or not as many samples there as the batch, or they do not fit
            each other.
    """
    arguments.function("predict: model", model, instance=True)
    targets = arguments.flag("predict: targets", targets)
    carry = arguments.flag("predict: carry", carry)
    axis = tree.map_leaves(_checked_axis, batch_axis)
    if not targets and isinstance(data, (list, tuple)):
        data, targets = [_ended(batch) for batch in data], True
    checked_batches("predict: data", data)
    if isinstance(data, Passes):  # the same batches each time, whoever else reads them
        passes = copy.copy(data)
        passes.epoch = passes.position = 0
        data = passes
    if isinstance(data, Batches) and not data.is_in_order:
        raise ArgumentError(
            "predict: data come in another order than the samples, and so would the outputs: give "
            "tg.data.batches(…, shuffle=False)"
        )
    through = Through(model, _no_loss, carry, False)
    found: list[Any] = []
    sizes: list[int | None] = []
    with evaluating(model):
        for batch in data:
            ended = batch if targets else _ended(batch)
            _, _, outputs, _ = through(ended)
            found.append(tree.map_leaves(host_values, outputs))
            sizes.append(_size(data, len(sizes), ended[0]))
    if not found:
        raise DataError("predict: there are no batches")
    return _joined(found, sizes, axis, carry)


def _ended(batch: Any) -> tuple[Any, ...]:
    """A batch without targets as one that has None for them."""
    return (*batch, None) if isinstance(batch, tuple) else (batch, None)


def _checked_axis(axis: Any) -> int | None:
    axis = arguments.optional(arguments.whole, "predict: batch_axis", axis)
    if axis not in (None, 0, 1):
        raise arguments.refused("predict: batch_axis", "0, 1 or None, or these nested as the outputs", axis)
    return axis


def _no_loss(_outputs: Any, _targets: Any) -> tuple[Tensor, float]:
    return zeros(()), 0.0


def _size(data: Any, position: int, inputs: Any) -> int | None:
    """How many samples a batch has, where that is known."""
    if isinstance(data, Batches):
        return min(data.size, data.samples - position * data.size)
    if isinstance(data, Windows):
        return data.batch
    return len(inputs[1]) if are_padded(inputs) else None


def _joined(found: list[Any], sizes: list[int | None], axis: Any, carry: bool) -> Any:
    """Outputs of all batches, leaf by leaf."""
    first, count = found[0], len(tree.leaves(found[0]))
    if any(tree.structure(outputs) != tree.structure(first) for outputs in found):
        raise ShapeError("predict: outputs of some batches are nested in another way than those of others")
    axes = tree.leaves(axis)
    if not isinstance(axis, (tuple, list, dict)):
        axes *= count
    elif tree.structure(axis) != tree.structure(first):
        raise arguments.refused("predict: batch_axis", "nested as the outputs", axis)
    columns = zip(*map(tree.leaves, found), strict=True)
    joined = [_one(list(parts), axis, sizes, carry) for parts, axis in zip(columns, axes, strict=True)]
    return tree.unflatten(first, joined)


def _one(parts: list[numpy.ndarray], axis: int | None, sizes: list[int | None], carry: bool) -> Any:
    """One output of all batches: an array, or a list of arrays.

    Raises:
        ArgumentError: it may have its samples along either axis.
        ShapeError: it has no such axis, or the batches do not fit each other.
    """
    shape = parts[0].shape
    if axis is None and not carry and len(shape) > 2:
        raise ArgumentError(
            f"predict: outputs have shape {shape}: say along which axis the samples are, batch_axis=1 for "
            "(T, B, …) or batch_axis=0 for (B, T, …)"
        )
    axis = int(carry) if axis is None else axis
    for part, size in zip(parts, sizes, strict=True):
        if part.ndim != len(shape) or part.ndim <= max(axis, int(carry)):
            raise ShapeError(f"predict: outputs have shape {part.shape}, and samples along axis {axis}")
        if size not in (None, part.shape[axis]):
            raise ShapeError(
                f"predict: outputs have shape {part.shape}, with {part.shape[axis]} samples along axis "
                f"{axis}, and the batch has {size}: give another batch_axis"
            )
    along = 1 - axis if carry else axis
    if len({part.shape[:along] + part.shape[along + 1 :] for part in parts}) == 1:
        return numpy.concatenate(parts, along)
    if carry or len({part.shape[2:] for part in parts}) > 1:
        shapes = ", ".join(dict.fromkeys(str(part.shape) for part in parts))
        raise ShapeError(
            f"predict: outputs of the batches do not fit each other, with samples along axis {axis}: {shapes}"
        )
    return parts
