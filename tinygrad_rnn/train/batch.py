"""One batch on its way through a model, and means over batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from .. import arguments, nn, tree
from ..backends import Backend
from ..data.batching import Passes
from ..errors import ArgumentError, DataError, TrainingError
from ..nn.carrying import fresh_states
from ..nn.module import modes_kept
from ..tape import host_values, no_grad
from ..tensor import Tensor
from .metrics import Averaged, checked_metrics


def parts_of(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """What the model is called with, and the targets.

    Raises:
        DataError: a batch is no such tuple.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise DataError(
            "fit: a batch is a tuple, what the model is called with and then the targets: (x, targets), not "
            f"{arguments.shown(batch)}"
        )
    return tuple(batch[:-1]), batch[-1]


def checked_batches(what: str, data: Any) -> Any:
    """Batches, as far as can be seen before they are read.

    Raises:
        ArgumentError, DataError: they are none.
    """
    if isinstance(data, (str, bytes, Mapping)) or hasattr(data, "dtype") or not hasattr(data, "__iter__"):
        raise arguments.refused(what, "batches, such as a list of (x, targets)", data)
    if isinstance(data, (list, tuple)):
        if not data:
            raise DataError(f"{what}: there are no batches")
        parts_of(data[0])
    return data


class Through:
    """Calls a model with batches, and carries its state from one to the next where that is asked for.

    Args:
        loss: of outputs and targets, one number; or a pair of it and how much the batch counts, by default as
            many as the targets have elements, classes below 0 apart.
        carry: whether the model takes and returns a state: ``outputs, state = model(x, state)``.
    """

    def __init__(self, model: Callable[..., Any], loss: Callable[..., Any], carry: bool) -> None:
        self._model, self._loss, self._carry = model, loss, carry
        self.state: Any = None
        parameters = model.parameters() if isinstance(model, nn.Module) else []
        self._backend: Backend | None = parameters[0]._backend if parameters else None

    def go_on_with(self, state: Any) -> None:
        """Carry a state that was saved."""
        on = "numpy" if self._backend is None else self._backend.name
        self.state = None if state is None else tree.map_leaves(lambda leaf: leaf.to(on), state)

    def _moved(self, leaf: Any) -> Any:
        """An array of the host where the model is."""
        if self._backend is None or self._backend.name == "numpy" or not isinstance(leaf, numpy.ndarray):
            return leaf
        return Tensor(self._backend.from_host(leaf), self._backend)

    def __call__(self, batch: Any) -> tuple[Tensor, float, Any, Any]:
        """The loss of a batch, how much it counts, the outputs and the targets.

        Raises:
            DataError: it is no batch.
            ArgumentError: the model returns no state to carry, or the loss is no single number.
            TrainingError: the loss is not finite.
        """
        inputs, targets = tree.map_leaves(self._moved, parts_of(batch))
        outputs = self._model(*inputs, self.state) if self._carry else self._model(*inputs)
        if self._carry:
            if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
                raise ArgumentError("fit: with carry=True the model must return a pair, outputs and state")
            outputs, state = outputs
            self.state = nn.detach(state)
        value = self._loss(outputs, targets)
        value, weight = value if isinstance(value, tuple) and len(value) == 2 else (value, _elements(targets))
        if not isinstance(value, Tensor) or value.size != 1:
            raise ArgumentError(
                f"fit: loss must return one number, a tensor, or a pair of it and its weight, not "
                f"{arguments.shown(value)}"
            )
        counts: Any = weight
        if getattr(counts, "shape", None) == ():  # of NumPy, or a tensor
            counts = counts.item()
        if not isinstance(counts, (int, float)):
            raise ArgumentError(f"fit: the weight of a batch must be a number, not {arguments.shown(counts)}")
        if not math.isfinite(value.item()):
            raise TrainingError(f"the loss became {value.item()}{_culprit(inputs, targets)}")
        return value, float(counts), outputs, targets


def _elements(targets: Any) -> int:
    """How much a batch counts: the elements of its targets, the first of them if they are several; classes
    below 0 do not count."""
    leaves = tree.leaves(targets)
    first = host_values(leaves[0])
    if not first.ndim:  # a list of numbers
        first = numpy.array([host_values(leaf) for leaf in leaves])
    return int((first >= 0).sum()) if first.dtype.kind == "i" else first.size


def _culprit(inputs: Any, targets: Any) -> str:
    """Which part of a batch is not finite itself, in words."""
    for what, part in (("inputs", inputs), ("targets", targets)):
        for leaf in tree.leaves(part):
            values = host_values(leaf)
            if values.dtype.kind == "f" and not numpy.isfinite(values).all():
                return f": the {what} of this batch hold {'NaN' if numpy.isnan(values).any() else 'infinity'}"
    return ": try a smaller learning rate, or clip"


class Mean(Averaged):
    """A mean over batches, each with its weight."""

    def add(self, value: float, weight: float) -> None:
        self._count(value * weight, weight)


class MeanOf(Mean):
    """A metric of a function of outputs and targets: its mean over batches."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def update(self, outputs: Any, targets: Any) -> None:
        value = host_values(self._function(outputs, targets))
        if value.size != 1:
            raise ArgumentError(
                f"a metric that is a function must return a number, not {arguments.shown(value)}"
            )
        self.add(float(value.reshape(())), _elements(targets))


@no_grad()
def evaluate(
    model: Any,
    loss: Callable[..., Any],
    data: Any,
    metrics: Mapping[str, Any] | None = None,
    carry: bool = False,
) -> dict[str, Any]:
    """The mean loss of a model over batches, and metrics, without a tape and in evaluation mode.

    >>> model = tg.nn.Linear(2, 1)
    >>> batches = [(np.ones((4, 2), "float32"), model(tg.ones((4, 2))).numpy())]
    >>> tg.train.evaluate(model, tg.mse_loss, batches)
    {'loss': 0.0}

    Args:
        model, loss, carry: as of :func:`fit`; any function for the model.
        data: batches.
        metrics: by name, each a :class:`Metric` or a function of outputs and targets, arrays on the host,
            whose mean is taken.

    Raises:
        ArgumentError: an argument is of another kind.
        DataError: there are no batches, or one is none.
        TrainingError: the loss is not finite.
    """
    arguments.function("evaluate: model", model, instance=True)
    arguments.function("evaluate: loss", loss, instance=True)
    checked_batches("evaluate: data", data)
    carry = arguments.flag("evaluate: carry", carry)
    counted = {
        name: metric if hasattr(metric, "update") else MeanOf(metric)
        for name, metric in checked_metrics("evaluate", metrics).items()
    }
    if isinstance(data, Passes):  # the same batches each time, whoever else reads them
        data = copy.copy(data)
        data.epoch = data.position = 0
    through, mean, count = Through(model, loss, carry), Mean(), 0
    for metric in counted.values():
        metric.reset()
    with modes_kept(model), fresh_states(model):
        if isinstance(model, nn.Module):
            model.eval()
        for batch in data:
            value, weight, outputs, targets = through(batch)
            mean.add(value.item(), weight)
            count += 1
            if counted:
                told = tree.map_leaves(host_values, outputs), tree.map_leaves(host_values, targets)
                for metric in counted.values():
                    metric.update(*told)
    if not count:
        raise DataError("there are no batches to evaluate")
    return {"loss": mean.value(), **{name: _plain(metric.value()) for name, metric in counted.items()}}


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    return value.item() if isinstance(value, numpy.generic) or getattr(value, "shape", None) == () else value
