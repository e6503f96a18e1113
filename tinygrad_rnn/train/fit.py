"""``fit``: a model learns from batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .. import arguments, nn, optim
from ..errors import ArgumentError
from ..interop import safetensors
from .batch import checked_batches
from .history import History
from .metrics import checked_metrics
from .training import Training, keeps_place


def fit(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    data: Iterable[Any],
    *,
    epochs: int | None = None,
    steps: int | None = None,
    optimizer: optim.Optimizer | None = None,
    schedule: Any = None,
    clip: float | None = None,
    accumulate: int = 1,
    average: float | None = None,
    carry: bool = False,
    validation: Iterable[Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    every: int | None = None,
    monitor: str | None = None,
    patience: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool | str = False,
    log: Callable[[History], str] = History.to_csv,
    metadata: Mapping[str, str] | None = None,
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    progress: bool | None = None,
    batch_first: bool = False,
) -> History:
    """Train a model on batches until it has seen them so many times, or no longer gets better.

    >>> model = tg.nn.Linear(2, 1)
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    >>> batches = [(x, x.sum(1, keepdims=True))]
    >>> history = tg.train.fit(model, tg.mse_loss, batches, epochs=3, progress=False)
    >>> len(history), history.stopped
    (3, 'epochs')

    Args:
        model: a module; ``outputs = model(*inputs)``.
        loss: a function of outputs and targets, one number, the mean over the batch; or a pair of it and how
            much the batch counts, by default as many as the targets have elements, classes below 0 apart. Of
            targets that are a pair of padded ones and lengths, what lies beyond the lengths does not count.
        data: batches, read again in each epoch, such as a list or ``tg.data.batches``: tuples of what the
            model is called with and, last, the targets.
        epochs, steps: how often all data are seen, and how many updates are made, at most; one of them at
            least.
        optimizer: Adam with its usual settings by default. Parameters that ask for no residual stay.
        schedule: of the learning rate; goes on by one with each update, or, a ``PlateauLR``, with each
            evaluation, by the column that ``monitor`` names.
        clip: the largest norm of all residuals together.
        accumulate: an update goes by the mean of the residuals of so many batches, each as much as any other;
            at the end of an epoch by those that are left.
        average: the decay of a running average of the parameters, which is then what is evaluated and what
            the model ends as.
        carry: the model takes and returns a state, ``outputs, state = model(x, state)``, which is carried
            from batch to batch, off the tape (truncated back-propagation through time), and is None at the
            start of an epoch.
        validation: batches to evaluate on. The model then ends as the best one, not as the last one.
        metrics: by name, each a :class:`Metric` or a function of outputs and targets, whose mean is taken; on
            the validation batches.
        every: evaluate after so many updates, not after each epoch.
        monitor: the column of the history that decides which model is the best: "validation_loss" where
            there is validation, else "loss"; or a metric's name.
        patience: end after so many evaluations without a better one.
        folder: where to keep ``last.safetensors``, ``best.safetensors`` and ``log.csv``, after each
            evaluation.
        resume: go on with the training in the folder, bit for bit; "auto" if there is one.
        log: what ``log.csv`` says, a function of the history; by default a line for each evaluation.
        metadata: words to keep in both files of weights, as :func:`tinygrad_rnn.save` takes them: a
            vocabulary, say, by its ``to_json``.
        callbacks: functions, called with the :class:`Training` after each evaluation; or objects with
            ``on_update``, ``on_evaluation`` or ``on_end``. They may end it: :meth:`Training.stop`,
            :meth:`Training.pause`.
        tensorboard: write for TensorBoard into the folder, too.
        progress: show a bar; by default in a terminal.
        batch_first: whether padded targets are (B, T, …) instead of (T, B, …).

    Returns:
        A line for each evaluation: "step", "epoch", "loss" (the mean since the line before), "norm", "rate",
            "validation_loss" and the metrics.

    Raises:
        ArgumentError: an option has a value that it cannot have.
        DataError: there are no batches, or one is none.
        TrainingError: a loss or a gradient is not finite, or a callback failed; nothing was updated by it,
            and what was kept last stays.
        CheckpointError: the folder cannot be written to, or what is in it is another training's; or metadata
            are none that a file takes.
    """
    options = {
        "data": data,
        "epochs": arguments.optional(arguments.size, "fit: epochs", epochs, 1),
        "steps": arguments.optional(arguments.size, "fit: steps", steps, 1),
        "optimizer": arguments.optional(arguments.instance, "fit: optimizer", optimizer, optim.Optimizer),
        "schedule": schedule,
        "clip": arguments.optional(arguments.positive, "fit: clip", clip),
        "accumulate": arguments.size("fit: accumulate", accumulate, 1),
        "average": arguments.optional(arguments.decay, "fit: average", average),
        "carry": arguments.flag("fit: carry", carry),
        "validation": arguments.optional(checked_batches, "fit: validation", validation),
        "metrics": checked_metrics("fit", metrics),
        "every": arguments.optional(arguments.size, "fit: every", every, 1),
        "patience": arguments.optional(arguments.size, "fit: patience", patience, 1),
        "folder": arguments.optional(arguments.path, "fit: folder", folder),
        "resume": arguments.choice("fit: resume", resume, (True, False, "auto")),
        "log": arguments.function("fit: log", log),
        "metadata": safetensors.checked_metadata("fit", metadata),
        "callbacks": arguments.several("fit: callbacks", callbacks),
        "tensorboard": arguments.flag("fit: tensorboard", tensorboard),
        "progress": arguments.optional(arguments.flag, "fit: progress", progress),
        "batch_first": arguments.flag("fit: batch_first", batch_first),
    }
    arguments.instance("fit: model", model, nn.Module)
    arguments.function("fit: loss", loss, instance=True)
    checked_batches("fit: data", data)
    _check(options, monitor)
    _check_parameters(model, options["optimizer"])
    training = Training(model, loss, data, options)
    _check_length(schedule, training.planned_updates())
    return training.run()


def _check_parameters(model: nn.Module, optimizer: optim.Optimizer | None) -> None:
    """
    Raises:
        ArgumentError: nothing of the model would be trained.
    """
    asking = [p for p in model.parameters() if p.requires_grad]
    if not asking:
        raise ArgumentError("fit: no parameter of the model asks for a residual: there is nothing to train")
    if optimizer is not None and not {*map(id, asking)} & {*map(id, optimizer.parameters)}:
        raise ArgumentError(
            "fit: the optimizer has no parameter of this model: make it anew, of model.parameters()"
        )


def _check_length(schedule: Any, updates: int | None) -> None:
    """
    Raises:
        ArgumentError: the schedule ends before the training.
    """
    total = getattr(schedule, "total_steps", None)
    if total is not None and updates is not None and updates > total:
        raise ArgumentError(
            f"fit: the schedule has total_steps={total}, and there will be {updates} updates: give it so many"
        )


def _check(options: dict[str, Any], monitor: Any) -> None:
    """Check options beside each other, and settle what decides which model is the best.

    Raises:
        ArgumentError: one lacks another.
    """
    if options["epochs"] is None and options["steps"] is None:
        raise ArgumentError("fit: say how long: epochs=… or steps=…")
    schedule = options["schedule"]
    if schedule is not None and not (keeps_place(schedule) and hasattr(schedule, "optimizer")):
        raise arguments.refused(
            "fit: schedule", "a schedule, such as tg.optim.CosineLR(optimizer, steps)", schedule
        )
    if schedule is not None and options["optimizer"] is None:
        raise ArgumentError("fit: a schedule sets the rate of an optimiser: give that one, too")
    if schedule is not None and schedule.optimizer is not options["optimizer"]:
        raise ArgumentError("fit: the schedule is of another optimizer than this one: make it for this one")
    for name in ("resume", "metadata", "tensorboard"):
        if options[name] and options["folder"] is None:
            raise ArgumentError(f"fit: {name}={options[name]!r} needs a folder=")
    for name, metric in options["metrics"].items():
        if getattr(metric, "batch_first", options["batch_first"]) != options["batch_first"]:
            raise ArgumentError(
                f"fit: metrics: {name!r} has batch_first={metric.batch_first}, and fit "
                f"{options['batch_first']}: say the same to both"
            )
    if hasattr(options["validation"], "__next__"):
        raise ArgumentError("fit: validation can be read once only: give a list of it, or tg.data.batches")
    if options["carry"] and getattr(options["data"], "shuffle", False):
        raise ArgumentError(
            "fit: carry=True goes on with the state of the batch before, and these batches are shuffled: "
            "take tg.data.windows, or shuffle=False"
        )
    if options["metrics"] and options["validation"] is None:
        raise ArgumentError("fit: metrics are measured on validation batches: give validation=")
    columns: dict[str, bool | None] = {"loss": False}
    if options["validation"] is not None:
        columns["validation_loss"] = False
    columns |= {
        name: getattr(metric, "greater_is_better", None) for name, metric in options["metrics"].items()
    }
    chosen = list(columns)[1 if options["validation"] is not None else 0] if monitor is None else monitor
    options["monitor"] = arguments.choice("fit: monitor", chosen, tuple(columns))
    options["greater_is_better"] = columns[options["monitor"]]
    if options["greater_is_better"] is None:
        raise ArgumentError(
            f"fit: monitor: nothing says whether a greater {monitor} is better: give a tg.train.Metric with "
            "greater_is_better"
        )
    if isinstance(schedule, optim.PlateauLR):
        mode = "max" if options["greater_is_better"] else "min"
        if schedule.mode != mode:
            raise ArgumentError(f"fit: PlateauLR goes by {options['monitor']}: make it with mode={mode!r}")
