"""Targets of sequences of different length: the pair of padded targets and lengths that
:func:`tinygrad_rnn.data.pad_sequences` makes. What lies beyond a length is no target.

    targets   (padded (T, B, …), lengths (B,)); with batch_first padded (B, T, …)
    outputs   (T, B, …), or (B, T, …)
"""

from __future__ import annotations

from typing import Any

import numpy

from ..errors import DtypeError, ShapeError
from ..tape import host_values


def counted(name: str, outputs: Any, targets: Any, batch_first: bool) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Outputs and targets on the host; of padded targets, and of the outputs for them, what lies within the
    lengths: (n, …).

    Args:
        name: of the metric, for the text of errors.

    Raises:
        ShapeError, DtypeError: the lengths are none of these targets, or the outputs are of other steps.
    """
    outputs = host_values(outputs)
    if not are_padded(targets):
        return outputs, host_values(targets)
    padded, live = _within(name, targets, batch_first)
    if outputs.shape[:2] != padded.shape[:2]:
        raise ShapeError(
            f"{name}: outputs {outputs.shape} and padded targets {padded.shape} must begin with the same "
            "two axes"
        )
    return outputs[live], padded[live]


def elements(targets: Any, batch_first: bool) -> numpy.ndarray | None:
    """The elements of padded targets within their lengths; None where targets are none, or are two targets of
    which the second is no lengths: these are from 1 on, and the largest is that of the padded array.

    Raises:
        ShapeError: they are lengths of an array that lies the other way round.
    """
    if not are_padded(targets):
        return None
    padded, lengths = map(host_values, targets)
    if lengths.dtype.kind not in "iu" or not lengths.size or lengths.min() < 1:
        return None
    sizes = padded.shape[1::-1] if batch_first else padded.shape[:2]
    found = int(lengths.max()), len(lengths)
    if found == sizes:
        return padded[_within("", targets, batch_first)[1]]
    if found == sizes[::-1]:
        said, other = ("without", "batch_first=False") if batch_first else ("with", "batch_first=True")
        raise ShapeError(
            f"targets are an array {padded.shape} and lengths up to {found[0]} of {found[1]} sequences: so "
            f"arrays lie {said} batch_first: say {other}"
        )
    return None


def are_padded(targets: Any) -> bool:
    """Whether targets are an array and lengths, by their axes: together they would be no array."""
    if not isinstance(targets, (tuple, list)) or len(targets) != 2:
        return False
    first, second = map(_axes, targets)
    return first >= 2 and second == 1


def _axes(x: Any) -> int:
    """How many axes an array has, or a nested list, as far as the third; of anything else less than 0."""
    for depth in range(3):
        if hasattr(x, "shape"):
            return depth + len(x.shape)
        if not isinstance(x, (list, tuple)):
            return depth if isinstance(x, (int, float)) else -1
        if not x:
            return depth + 1
        x = x[0]
    return 3


def _within(name: str, targets: Any, batch_first: bool) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The array of padded targets, and where it is within the lengths.

    Raises:
        ShapeError, DtypeError: the lengths are none of these targets.
    """
    padded, lengths = map(host_values, targets)
    steps, batch = padded.shape[1::-1] if batch_first else padded.shape[:2]
    if lengths.size and lengths.dtype.kind not in "iu":
        raise DtypeError(f"{name}: the lengths of targets are whole numbers, not {lengths.dtype}")
    if lengths.shape != (batch,) or ((lengths < 0) | (lengths > steps)).any():
        layout = "(B, T, …), with batch_first" if batch_first else "(T, B, …), without batch_first"
        raise ShapeError(
            f"{name}: targets are a pair of an array {padded.shape}, which is {layout}, and lengths: these "
            f"must be {batch} numbers from 0 to {steps}, not {lengths.tolist()[:9]}"
        )
    live = numpy.arange(steps)[:, None] < lengths
    return padded, live.T if batch_first else live


__all__ = ["are_padded", "counted", "elements"]
