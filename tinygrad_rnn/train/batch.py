"""One batch on its way through a model, and means over batches."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from .. import arguments, nn, random, tree
from ..backends import Backend
from ..data.batching import Passes
from ..errors import ArgumentError, CheckpointError, DataError, TinygradRNNError, TrainingError
from ..nn.carrying import fresh_states
from ..nn.modes import evaluating
from ..tape import host_values, no_grad
from ..tensor import Tensor
from .metrics import Averaged, checked_metrics
from .padded import elements


def parts_of(batch: Any, what: str = "data") -> tuple[tuple[Any, ...], Any]:
    """What the model is called with, and the targets.

    Raises:
        DataError: a batch is no such tuple.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        one = ": of a single batch write [(x, targets)]" if hasattr(batch, "shape") else ""
        raise DataError(
            f"{what}: a batch is a tuple, what the model is called with and then the targets: (x, targets), "
            f"not {arguments.shown(batch)}{one}"
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
        parts_of(data[0], what)
    return data


class Through:
    """Calls a model with batches, and carries its state from one to the next where that is asked for.

    Args:
        loss: of outputs and targets, one number; or a pair of it and how much the batch counts, by default as
            many as the targets have elements, classes below 0 and padding apart.
        carry: whether the model takes and returns a state: ``outputs, state = model(x, state)``.
        batch_first: whether padded targets are (B, T, …).
    """

    def __init__(
        self, model: Callable[..., Any], loss: Callable[..., Any], carry: bool, batch_first: bool
    ) -> None:
        self._model, self._loss, self._carry, self._batch_first = model, loss, carry, batch_first
        self.state: Any = None
        self._leaves: list[Any] | None = None  # of a state that was saved
        self._takes_state = False  # which the first call finds out
        parameters = model.parameters() if isinstance(model, nn.Module) else []
        self._backend: Backend | None = parameters[0]._backend if parameters else None

    def leaves(self) -> list[Any] | None:
        """The tensors of the state, as a file holds them; None where there is no state."""
        return self._leaves if self.state is None else tree.leaves(self.state)

    def go_on_with(self, leaves: list[Any] | None) -> None:
        """Carry a state whose tensors were saved; how they are nested tells the model's first call."""
        on = "numpy" if self._backend is None else self._backend.name
        self._leaves = None if leaves is None else [leaf.to(on) for leaf in leaves]

    def _nested(self, inputs: tuple[Any, ...], leaves: list[Any]) -> Any:
        """The saved state, nested as the model's is.

        Raises:
            CheckpointError: it has other tensors.
        """
        chance = random.get_state()
        with no_grad():
            _, state = self._called(inputs)
        random.set_state(chance)
        if [leaf.shape for leaf in tree.leaves(state)] != [leaf.shape for leaf in leaves]:
            raise CheckpointError("fit: the state that was carried is none of this model and these batches")
        return tree.unflatten(state, leaves)

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
        if self._carry and self._leaves is not None:
            leaves, self._leaves = self._leaves, None
            self.state = self._nested(inputs, leaves)
        outputs = self._called(inputs)
        if self._carry:
            if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
                raise ArgumentError("fit: with carry=True the model must return a pair, outputs and state")
            outputs, state = outputs
            self.state = nn.detach(state)
        value = self._loss(outputs, targets)
        if not isinstance(value, tuple) or len(value) != 2:
            value = value, _elements(outputs, targets, self._batch_first)
        value, weight = value
        if not isinstance(value, Tensor) or value.size != 1:
            raise ArgumentError(
                f"fit: loss must return one number, a tensor, or a pair of it and its weight, not "
                f"{arguments.shown(value)}"
            )
        counts: Any = weight
        if getattr(counts, "shape", None) == ():  # of NumPy, or a tensor
            counts = counts.item()
        if not isinstance(counts, (int, float)) or not 0 <= counts < math.inf:
            raise ArgumentError(
                f"fit: the weight of a batch must be a number from 0 on, not {arguments.shown(counts)}"
            )
        if not math.isfinite(value.item()):
            culprit = _culprit(inputs, targets) if counts else ": no target of this batch counts"
            raise TrainingError(f"the loss became {value.item()}{culprit}")
        return value, float(counts), outputs, targets

    def _called(self, inputs: tuple[Any, ...]) -> Any:
        """What the model returns.

        Raises:
            ArgumentError: it takes no state to carry.
        """
        if not self._carry:
            return self._model(*inputs)
        if not self._takes_state:
            _check_takes(self._model, (*inputs, self.state))
            self._takes_state = True
        return self._model(*inputs, self.state)


def _check_takes(model: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """
    Raises:
        ArgumentError: a model that should take a state takes none.
    """
    try:
        inspect.signature(model).bind(*given)
    except TypeError as error:
        raise ArgumentError(
            f"fit: carry=True calls model(x, state) for a pair, outputs and state: {error}"
        ) from error
    except ValueError:  # one of C, which tells no signature
        pass


def _elements(outputs: Any, targets: Any, batch_first: bool) -> int:
    """How much a batch counts: the elements of its targets, the first of them if they are several; classes
    below 0 do not count, nor does what lies beyond lengths. Whole numbers that are laid out as outputs are no
    classes."""
    leaves = tree.leaves(targets)
    first = host_values(leaves[0])
    alike = getattr(tree.leaves(outputs)[0], "shape", None) == first.shape
    within = elements(targets, batch_first)
    if within is not None:
        first = within
    elif not first.ndim:  # a list of numbers
        first = numpy.array([host_values(leaf) for leaf in leaves])
    return int((first >= 0).sum()) if first.dtype.kind == "i" and not alike else first.size


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

    def state_dict(self) -> dict[str, float]:
        return {"total": self._total, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on counting from there."""
        self._total, self._weight = state["total"], state["weight"]


class MeanOf(Mean):
    """A metric of a function of outputs and targets: its mean over batches."""

    def __init__(self, function: Callable[..., Any], batch_first: bool) -> None:
        super().__init__(batch_first)
        self._function = function

    def update(self, outputs: Any, targets: Any) -> None:
        value = host_values(self._function(outputs, targets))
        if value.size != 1:
            raise ArgumentError(
                f"a metric that is a function must return a number, not {arguments.shown(value)}"
            )
        self.add(float(value.reshape(())), _elements(outputs, targets, self.batch_first))


@no_grad()
def evaluate(
    model: Any,
    loss: Callable[..., Any],
    data: Any,
    metrics: Mapping[str, Any] | None = None,
    carry: bool = False,
    batch_first: bool = False,
) -> dict[str, Any]:
    """The mean loss of a model over batches, and metrics, without a tape and in evaluation mode.

    >>> model = tg.nn.Linear(2, 1)
    >>> batches = [(np.ones((4, 2), "float32"), model(tg.ones((4, 2))).numpy())]
    >>> tg.train.evaluate(model, tg.mse_loss, batches)
    {'loss': 0.0}

    Args:
        model, loss, carry, batch_first: as of :func:`fit`; any function for the model.
        data: batches.
        metrics: by name, each a :class:`Metric` or a function of outputs and targets, arrays on the host and
            nested as the batch has them, whose mean is taken: a batch counts as it does for the loss.

    Raises:
        ArgumentError: an argument is of another kind.
        DataError: there are no batches, or one is none.
        TrainingError: the loss is not finite.
    """
    arguments.function("evaluate: model", model, instance=True)
    arguments.function("evaluate: loss", loss, instance=True)
    checked_batches("evaluate: data", data)
    carry = arguments.flag("evaluate: carry", carry)
    batch_first = arguments.flag("evaluate: batch_first", batch_first)
    counted = {
        name: metric if hasattr(metric, "update") else MeanOf(metric, batch_first)
        for name, metric in checked_metrics("evaluate", metrics).items()
    }
    if isinstance(data, Passes):  # the same batches each time, whoever else reads them
        data = copy.copy(data)
        data.epoch = data.position = 0
    through, mean, count = Through(model, loss, carry, batch_first), Mean(), 0
    for metric in counted.values():
        metric.reset()
    with evaluating(model), fresh_states(model):
        for batch in data:
            value, weight, outputs, targets = through(batch)
            mean.add(value.item(), weight)
            count += 1
            if counted:
                told = tree.map_leaves(host_values, outputs), tree.map_leaves(host_values, targets)
                for name, metric in counted.items():
                    _counted_along(name, metric, told)
    if not count:
        raise DataError("there are no batches to evaluate")
    if math.isnan(mean.value()):
        raise DataError("no target of the batches to evaluate counts: all are padding, or classes below 0")
    return {"loss": mean.value(), **{name: _plain(metric.value()) for name, metric in counted.items()}}


def _counted_along(name: str, metric: Any, told: tuple[Any, Any]) -> None:
    """
    Raises:
        TinygradRNNError: the metric takes no such outputs or targets; its name is said.
    """
    try:
        metric.update(*told)
    except TinygradRNNError as error:
        raise type(error)(f"the metric {name!r}: {error}") from error


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    return value.item() if isinstance(value, numpy.generic) or getattr(value, "shape", None) == () else value
