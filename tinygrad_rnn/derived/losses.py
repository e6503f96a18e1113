"""Losses: means by default; with ``reduction="sum"`` the source's loss, over all samples and time steps."""

from __future__ import annotations

from typing import Any

from .. import arguments, backends, ops
from ..arguments import DTypeLike
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops import ArrayLike, as_float, axis_of
from ..tape import composed, host, thread
from ..tensor import Tensor
from .elementwise import square
from .reductions import log_softmax, mean, widened

_REDUCTIONS = ("mean", "sum", "none")


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    arguments.choice("reduction", reduction, _REDUCTIONS)
    if reduction == "none":
        return losses
    return ops.sum(losses) if reduction == "sum" else mean(losses)


def _same_shape(name: str, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
    prediction, target = ops.as_tensors(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: prediction has shape {prediction.shape}, target {target.shape}: they must be equal"
        )
    # integers may have no negative ones
    return (prediction if target.dtype.kind == "f" else as_float(prediction)), target


@composed
def mse_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """(ŷ − y)², elementwise and then reduced.

    >>> tg.mse_loss([1.0, 2.0], [1.0, 4.0])
    tensor(2., dtype=float32)
    """
    prediction, target = _same_shape("mse_loss", prediction, target)
    return _reduced(square(prediction - target), reduction)


@composed
def l1_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """``|ŷ − y|``, elementwise and then reduced.

    >>> tg.l1_loss([1.0, 2.0], [1.0, 4.0])
    tensor(1., dtype=float32)
    """
    prediction, target = _same_shape("l1_loss", prediction, target)
    return _reduced(ops.abs(prediction - target), reduction)


@composed
def huber_loss(
    prediction: ArrayLike, target: ArrayLike, delta: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """½ d² where the distance ``d = |ŷ − y|`` is at most delta, delta (d − ½ delta) beyond (Huber 1964).

    >>> tg.huber_loss([1.0, 2.0], [2.0, 5.0], reduction="none")
    tensor([0.5, 2.5], dtype=float32)
    """
    prediction, target = _same_shape("huber_loss", prediction, target)
    delta = arguments.positive("huber_loss: delta", delta)
    distance = ops.abs(prediction - target)
    return _reduced(
        ops.where(distance <= delta, 0.5 * distance * distance, delta * (distance - 0.5 * delta)), reduction
    )


@composed
def bce_with_logits(
    logits: ArrayLike, target: ArrayLike, reduction: str = "mean", pos_weight: ArrayLike | None = None
) -> Tensor:
    """−[y log σ(z) + (1 − y) log(1 − σ(z))] = (1 − y) z + softplus(−z), stable for every z.

    >>> print(f"{tg.bce_with_logits([0.0], [1.0]):.3f}")
    0.693

    Args:
        logits: z, of any shape.
        target: y, from 0 to 1, of the same shape.
        reduction: "mean", "sum" or "none".
        pos_weight: what y log σ(z) is multiplied by; of a shape that broadcasts to that of the logits.

    Raises:
        ShapeError: the shapes do not fit.
    """
    logits, target = _same_shape("bce_with_logits", logits, target)
    weight: Any = 1
    if pos_weight is not None:
        pos_weight = as_float(pos_weight)
        if ops.joint_shape("bce_with_logits: pos_weight", pos_weight.shape, logits.shape) != logits.shape:
            raise ShapeError(
                f"bce_with_logits: pos_weight has shape {pos_weight.shape}, which does not broadcast to "
                f"{logits.shape}"
            )
        weight = 1 + (pos_weight - 1) * target
    return _reduced((1 - target) * logits + weight * ops.softplus(-logits), reduction)


# -- classes ------------------------------------------------------------------------------------------


@composed
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    axis: int = -1,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    weight: ArrayLike | None = None,
) -> Tensor:
    """−log softmax(logits) at the target.

    >>> print(f"{tg.cross_entropy([[0.0, 0.0], [0.0, 100.0]], [0, 1], reduction='sum'):.3f}")
    0.693

    Args:
        logits: (..., classes, ...), the classes along ``axis`` (the last by default).
        target: class numbers, of the shape without ``axis``; or probabilities, of the same shape.
        reduction: "mean" over the targets that count, "sum" (the source's loss) or "none".
        ignore_index: a class number that does not count; only where the target is class numbers.
        label_smoothing: that share of the target spread evenly over all classes.
        weight: (classes,), what the losses of each class are multiplied by. The mean is then the sum by the
            sum of the targets' weights; where the target is probabilities, by the number of targets, as in
            PyTorch.

    Raises:
        IndexRangeError: a class number is none of the classes and not ``ignore_index``. On a device, where
            nobody looks, the loss is NaN.
        ShapeError, DtypeError: logits, target and weight do not fit.
        ArgumentError: an ``ignore_index`` for probabilities.
    """
    logits, target = ops.as_tensors(logits, target)
    if logits.ndim == 0:
        raise ShapeError("cross_entropy: logits need an axis of classes")
    axis = axis_of(logits, axis)
    label_smoothing = arguments.probability("cross_entropy: label_smoothing", label_smoothing)
    arguments.choice("cross_entropy: reduction", reduction, _REDUCTIONS)
    logits, dtype = widened(logits)
    weights = None if weight is None else _class_weights("cross_entropy", weight, logits, axis)
    if target.dtype.kind == "f":
        if ignore_index is not None:
            raise ArgumentError(
                "cross_entropy: ignore_index names a class number, and the target is probabilities: leave "
                "it out"
            )
        counts, losses = None, _losses_to_probabilities(logits, target, axis, label_smoothing, weights)
    else:
        _check_classes("cross_entropy", target, logits, axis)
        counts = (
            None
            if ignore_index is None
            else target != arguments.whole("cross_entropy: ignore_index", ignore_index)
        )
        losses, counts = _losses_to_classes(logits, target, counts, axis, label_smoothing, weights)
    loss = _reduced_over(losses, counts, reduction)
    # probabilities may have a wider dtype
    return loss if logits._data.dtype is dtype else ops.astype(loss, dtype)


def _class_weights(name: str, weight: ArrayLike, scores: Tensor, axis: int) -> Tensor:
    """A weight for each class, along the axis and of the dtype of the scores."""
    weight = as_float(ops.as_tensors(scores, weight)[1])
    classes = scores.shape[axis]
    if weight.shape != (classes,):
        raise ShapeError(f"{name}: weight has shape {weight.shape}, {classes} classes need {(classes,)}")
    others = tuple(i for i in range(scores.ndim) if i != axis)
    return ops.expand_dims(ops.astype(weight, scores.dtype), others)


def _losses_to_probabilities(
    logits: Tensor, target: Tensor, axis: int, label_smoothing: float, weights: Tensor | None
) -> Tensor:
    if target.shape != logits.shape:
        raise ShapeError(
            f"cross_entropy: probabilities have shape {target.shape}, logits {logits.shape}; class numbers "
            "must be ints"
        )
    target = (
        target * (1 - label_smoothing) + label_smoothing / logits.shape[axis] if label_smoothing else target
    )
    target = target if weights is None else target * weights
    return -ops.sum(target * log_softmax(logits, axis), axis)


def _losses_to_classes(
    logits: Tensor,
    target: Tensor,
    counts: Tensor | None,
    axis: int,
    label_smoothing: float,
    weights: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """0 for a target that does not count; and by how much each counts, None if all do alike."""
    index, classes = target if counts is None else ops.where(counts, target, 0), logits.shape[axis]
    advice = "; a number for targets that do not count is named by ignore_index="
    index = ops.expand_dims(
        ops.check_range("cross_entropy: the class number", index, classes, 0, advice), axis
    )
    # weights spread a share of the target unevenly: it is added then
    smoothing = label_smoothing if weights is None else 0.0
    if axis == logits.ndim - 1 and logits.size >= KERNEL_MIN_ELEMENTS and not thread.tracing:
        from ..sequence.rows import by_rows  # only those who have much to do need a compiler

        losses = by_rows("cross_entropy", _class_losses, (logits, index), (-1, smoothing))
    else:
        losses = _class_losses(logits, index, axis, smoothing)
    shares = None
    if weights is not None:
        shares = ops.pick(weights, index, axis)
        losses = losses * shares
        if label_smoothing:
            spread = -mean(weights * log_softmax(logits, axis), axis, keepdims=True)
            losses = (1 - label_smoothing) * losses + label_smoothing * spread
        shares = ops.squeeze(shares, axis)
    losses = ops.squeeze(ops.nan_outside(losses, index, classes), axis)
    if counts is None:
        return losses, shares
    return ops.where(counts, losses, 0), counts if shares is None else ops.where(counts, shares, 0)


KERNEL_MIN_ELEMENTS = 1 << 13
"""Elements from which a kernel for all operations of a row pays."""


def _check_classes(name: str, target: Tensor, scores: Tensor, axis: int) -> None:
    """Whether targets are integers, one where scores have an axis of classes."""
    expected = tuple(n for i, n in enumerate(scores.shape) if i != axis)
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class numbers are whole, got dtype {target.dtype}")
    if target.shape != expected:
        raise ShapeError(
            f"{name}: class numbers have shape {target.shape}, scores of shape {scores.shape} need {expected}"
        )


def _class_losses(logits: Tensor, index: Tensor, axis: int, label_smoothing: float) -> Tensor:
    """log Σ exp(z) − z at the class: the other log-probabilities are never made."""
    shifted = logits - ops.max(logits, axis, keepdims=True).detach()
    picked = ops.pick(shifted, index, axis)
    if label_smoothing:
        picked = (1 - label_smoothing) * picked + label_smoothing * mean(shifted, axis, keepdims=True)
    return ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True)) - picked


def _reduced_over(losses: Tensor, counts: Tensor | None, reduction: str) -> Tensor:
    if reduction == "mean" and counts is not None:
        return ops.sum(losses) / ops.sum(ops.astype(counts, losses.dtype))
    return _reduced(losses, reduction)


@composed
def nll_loss(
    log_probabilities: ArrayLike,
    target: ArrayLike,
    axis: int = -1,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
) -> Tensor:
    """−log p at the target, from log probabilities.

    >>> tg.nll_loss([[-0.5, -1.0], [-2.0, -0.25]], [0, 1], reduction="none")
    tensor([0.5 , 0.25], dtype=float32)

    Args:
        log_probabilities: (..., classes, ...), the classes along ``axis`` (the last by default).
        target: class numbers, of the shape without ``axis``.
        reduction: "mean", "sum" or "none".
        weight: (classes,), what the losses of each class are multiplied by; the mean is then the sum by the
            sum of the targets' weights.

    Raises:
        ShapeError, DtypeError: log_probabilities, target and weight do not fit.
        IndexRangeError: a class number is none of the classes. On a device, where nobody looks, the loss is
            NaN.
    """
    logs, target = ops.as_tensors(log_probabilities, target)
    axis = axis_of(logs, axis)
    arguments.choice("nll_loss: reduction", reduction, _REDUCTIONS)
    logs, dtype = widened(as_float(logs))
    _check_classes("nll_loss", target, logs, axis)
    advice = "; what does not count is left out by cross_entropy(…, ignore_index=)"
    index = ops.expand_dims(
        ops.check_range("nll_loss: the class number", target, logs.shape[axis], 0, advice), axis
    )
    losses, shares = -ops.pick(logs, index, axis), None
    if weight is not None:
        shares = ops.pick(_class_weights("nll_loss", weight, logs, axis), index, axis)
        losses, shares = losses * shares, ops.squeeze(shares, axis)
    losses = ops.squeeze(ops.nan_outside(losses, index, logs.shape[axis]), axis)
    return ops.astype(_reduced_over(losses, shares, reduction), dtype)


def one_hot(indices: ArrayLike, classes: int, dtype: DTypeLike | None = None) -> Tensor:
    """1 at the index, 0 elsewhere, along a new last axis.

    >>> tg.one_hot([2, 0], 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]], dtype=float32)

    Raises:
        IndexRangeError: an index is none of the classes. On a device, where nobody looks, all its elements
            are 0.
    """
    classes = arguments.size("one_hot: classes", classes)
    dtype = host.default_dtype if dtype is None else arguments.dtype("one_hot: dtype", dtype)
    backend = indices._backend if isinstance(indices, Tensor) else backends.current()
    indices = ops.indices_of("one_hot: the index", backend, indices, classes, 0, kinds="iub")
    positions = Tensor(indices._backend.arange(classes), indices._backend)
    return ops.astype(ops.expand_dims(indices, -1) == positions, dtype)


# fmt: off
__all__ = [
    "bce_with_logits", "cross_entropy", "huber_loss", "l1_loss", "mse_loss", "nll_loss", "one_hot",
]
