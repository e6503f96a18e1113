"""A training under way: the loop over batches, evaluations between them, and all that it takes to go on.

batch = (inputs …, targets)
  outputs = model(inputs …)        or: outputs, state = model(inputs …, state), carried on
  loss(outputs, targets)  ──▶ residuals ──▶ clip ──▶ optimiser ──▶ schedule
after each epoch, or every so many updates
  validation: loss and metrics ──▶ history, best model, checkpoint, callbacks
"""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from .. import backends, nn, ops, optim, random
from ..backends import Backend
from ..data.batching import Passes
from ..errors import ArgumentError, ArgumentWarning, CheckpointError, DataError, TrainingError
from ..interop.safetensors import Checkpoint
from ..nn.modes import modes_kept
from ..tape import Replay, Tape
from .average import Average
from .batch import Mean, Through, evaluate
from .folder import Folder
from .history import History
from .reporting import Reports
from .update import update


class Training:
    """What :func:`fit` does, as callbacks see it.

    >>> class Once:
    ...     def on_update(self, training):
    ...         training.stop()
    >>> model, batches = tg.nn.Linear(2, 1), [(tg.ones((4, 2)), tg.ones((4, 1)))]
    >>> tg.train.fit(model, tg.mse_loss, batches, epochs=9, callbacks=[Once()], progress=False).stopped
    'asked'

    Attributes:
        model, optimizer, schedule: what is trained, and by what.
        step: how many updates were made.
        epoch: how many times all data were seen.
        history: a line for each evaluation.
        row: what the last update told: "loss", "norm" (before clipping) and "rate".
    """

    def __init__(self, model: nn.Module, loss: Any, data: Any, options: Mapping[str, Any]) -> None:
        self.model: nn.Module = model
        self.optimizer: optim.Optimizer = options["optimizer"] or optim.Adam(model.parameters())
        self.schedule: Any = options["schedule"]
        self.step: int = 0
        self.epoch: int = 0
        self.history: History = History()
        self.row: dict[str, float] = {}
        self._loss, self._data, self._options = loss, data, options
        self._through = Through(model, loss, options["carry"], options["batch_first"])
        self._average = None if options["average"] is None else Average(model, options["average"])
        self._mean = Mean()
        self._backend: Backend = next((p._backend for p in model.parameters()), backends.current())
        self._room = contextlib.ExitStack()
        self._has_room = False
        self._batches = 0  # of this epoch
        self._waiting = 0  # whose residuals no update has taken yet
        self._paused = False
        self._evaluated = -1  # the step of the last evaluation
        self._best: dict[str, Any] | None = None
        self._least = math.inf
        self._since_better = 0  # evaluations
        self._warned = False
        self._folder: Folder | None = None

    def stop(self) -> None:
        """End after this update, with an evaluation."""
        self.history.stopped = "asked"

    def pause(self) -> None:
        """Save after this update, and end without an evaluation: resumed, the training is as one that never
        stopped.

        Raises:
            ArgumentError: there is no folder to save in.
        """
        if self._folder is None:
            raise ArgumentError("pause: there is nowhere to save: give fit a folder=, or call stop()")
        self._paused = True

    def planned_updates(self) -> int | None:
        """How many there will be, if nothing ends the training before; None where the data do not know how
        many batches they have."""
        steps, epochs, count = self._options["steps"], self._options["epochs"], self._count
        if epochs is None or count is None:
            return steps
        updates = epochs * -(-count // self._options["accumulate"])
        return updates if steps is None else min(steps, updates)

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self) -> History:
        """Learn until an option, or a callback, says that it is enough."""
        options = self._options
        reports = Reports(self, options)
        with contextlib.ExitStack() as stack:
            if options["folder"] is not None:
                self._folder = stack.enter_context(Folder(options))
                if self._folder.last is not None:
                    self._go_on(self._folder.last)
            self.history.stopped, self.history.clip = "", options["clip"]
            if self.step == 0 and isinstance(self._data, Passes):
                self._data.position = 0  # somebody may have left a pass in its middle
            self.optimizer.zero_grad()  # what somebody left
            stack.enter_context(reports)
            stack.enter_context(modes_kept(self.model))
            stack.enter_context(self._room)
            if not self.model.training:  # else parts of it may be out of training on purpose
                self.model.train()
            while not (self._is_over() or self._paused):
                self._learn_epoch(reports)
            if self._is_over() and self._evaluated != self.step:
                self._evaluate(reports)
            if not self._is_over():
                self.history.stopped = "paused"
                self._save(None)
            if self._best is not None:
                self.model.load_state_dict(self._best)
            elif self._average is not None:
                self._average.settle()
        return self.history

    def _go_on(self, last: Checkpoint) -> None:
        """From a checkpoint; nothing is changed if it does not fit.

        Raises:
            CheckpointError: it is another training's, or damaged.
        """
        before = copy.deepcopy(self.state_dict())
        try:
            self.load_state_dict(last.part("fit"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.load_state_dict(before)
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"the checkpoint is no whole one of a training: {error!r}") from error

    def _is_over(self) -> bool:
        epochs, steps = self._options["epochs"], self._options["steps"]
        if not self.history.stopped and steps is not None and self.step >= steps:
            self.history.stopped = "steps"
        if not self.history.stopped and epochs is not None and self.epoch >= epochs:
            self.history.stopped = "epochs"
        patience = self._options["patience"]
        if not self.history.stopped and patience is not None and self._since_better >= patience:
            self.history.stopped = "patience"
        return bool(self.history.stopped)

    def _learn_epoch(self, reports: Reports) -> None:
        """Go on through the data, to their end or to that of the training."""
        over = False
        for batch in self._data_left():
            over = self._batches + 1 == self._count
            self._learn(batch, over)
            if self._waiting:
                continue
            self._after_update(reports)
            if over or self._is_over() or self._paused:
                break
        else:
            self._flush(reports)
            over = True
        is_due = over and self._options["every"] is None
        if is_due and self._evaluated != self.step:
            self._evaluate(reports)

    @property
    def _count(self) -> int | None:
        """How many batches an epoch has, where the data know it."""
        return len(self._data) if hasattr(self._data, "__len__") else None

    def _data_left(self) -> Iterator[Any]:
        """The batches of this epoch from where it stands; data that know where they stand begin there."""
        batches = iter(self._data)
        if not keeps_place(self._data):
            for _ in range(self._batches):
                next(batches, None)
        return batches

    def _after_update(self, reports: Reports) -> None:
        every = self._options["every"]
        reports.updated()
        if every is not None and self.step % every == 0:
            self._evaluate(reports)

    def _flush(self, reports: Reports) -> None:
        """Of data that do not know how many batches they have: learn from what waits at their end.

        Raises:
            DataError: there were none.
        """
        if not self._batches:
            again = " a second time: give a list or tg.data.batches, which can be read again"
            raise DataError(f"fit: the data give no batches{again if self.epoch else ''}")
        self._end_epoch()
        if self._waiting:
            with self._at_step():
                self._update(None)
            self._after_update(reports)

    def _end_epoch(self) -> None:
        self.epoch, self._batches, self._through.state = self.epoch + 1, 0, None

    def _learn(self, batch: Any, last: bool) -> None:
        """Take in a batch, and update where enough of them wait, or it is the last one of an epoch."""
        with self._at_step():
            loss, weight, _, _ = self._through(batch)
            self._mean.add(loss.item(), weight)
            if not self._has_room:
                self._make_room(loss)
            self.row["loss"] = loss.item()
            self._waiting += 1
            self._batches += 1
            if last:
                self._end_epoch()
            if last or self._waiting == self._options["accumulate"]:
                self._update(loss)
            else:
                loss.backward()

    def _update(self, loss: Any) -> None:
        self.row["rate"] = self.optimizer.groups[0].lr
        schedule = None if self._waits_for_evaluations else self.schedule
        clip, waiting = self._options["clip"], self._waiting
        self.row["norm"] = update(loss, self.optimizer, clip, schedule, waiting)
        self._waiting = 0
        self.step += 1
        if self._average is not None:
            self._average.update()

    def _make_room(self, loss: Any) -> None:
        """Where a model runs scans, other products get one thread until the training ends: more of them would
        go on spinning, and keep the scans waiting."""
        if any(isinstance(entry.row, Replay) for entry in Tape.of(loss)):
            self._room.enter_context(self._backend.alone())
        self._has_room = True

    @contextlib.contextmanager
    def _at_step(self, where: str = "at") -> Iterator[None]:
        """A block whose errors of training say where it stands: at an update, or after the last one."""
        try:
            with self._backend.quiet():  # a training that diverges says so itself
                yield
        except TrainingError as error:
            self.optimizer.zero_grad()
            kept = f". What was kept last is in {self._folder.path}" if self._folder is not None else ""
            number = self.step + (where == "at")
            raise TrainingError(f"{where} step {number} {error}{kept}") from error

    @property
    def _waits_for_evaluations(self) -> bool:
        """Whether the schedule goes by what evaluations find."""
        return isinstance(self.schedule, optim.PlateauLR)

    # -- evaluations -----------------------------------------------------------------------------------------

    def _evaluate(self, reports: Reports) -> None:
        """Add a line to the history, keep the model if it is the best, and save."""
        options = self._options
        row: dict[str, Any] = {"step": self.step, "epoch": self.epoch, **self.row, "loss": self._mean.value()}
        with self._at_step("after"), self._averaged():
            if options["validation"] is not None:
                carry, batch_first = options["carry"], options["batch_first"]
                try:
                    told = evaluate(
                        self.model, self._loss, options["validation"], options["metrics"], carry, batch_first
                    )
                except TrainingError as error:
                    raise TrainingError(f"in validation {error}") from error
                row |= {"validation_loss": told.pop("loss"), **told}
            better = self._is_better(row[options["monitor"]])
            if better and options["validation"] is not None:
                self._best = self.model.state_dict()
        self.history.add(row, better and options["validation"] is not None)
        self._since_better = 0 if better else self._since_better + 1
        self._mean.reset()
        self._evaluated = self.step
        self._is_over()  # which the history then says
        if self._waits_for_evaluations:
            self.schedule.step(row[options["monitor"]])
        self._save(self._best if better else None)
        reports.evaluated()

    def _save(self, best: dict[str, Any] | None) -> None:
        """Write what the training goes on from, and a model that is the best so far.

        Raises:
            TrainingError: a parameter is not finite: what was kept before stays.
        """
        if self._folder is None:
            return
        with self._at_step("after"):
            for name, parameter in self.model.named_parameters():
                if not ops.all(ops.isfinite(parameter)):
                    raise TrainingError(f"the parameter {name} is not finite: try a smaller learning rate")
        best = self._best if best is None and not self._folder.has_best() else best
        self._folder.save({"fit": self.state_dict()}, best, self.history)

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._average is None else self._average.in_place()

    def _is_better(self, value: float) -> bool:
        if not isinstance(value, (int, float)):
            name = self._options["monitor"]
            raise ArgumentError(f"fit: monitor: {name!r} is no number, which decides nothing: choose another")
        if math.isnan(value) and not self._warned:
            name, self._warned = self._options["monitor"], True
            warnings.warn(
                f"fit: {name!r} is NaN, by which no model is the best", ArgumentWarning, stacklevel=2
            )
        sign = -1 if self._options["greater_is_better"] else 1
        if not sign * value < self._least:
            return False
        self._least = sign * value
        return True

    # -- going on --------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "data": self._data.state_dict() if keeps_place(self._data) else None,
            "random": random.get_state(),
            "state": self._through.leaves(),
            "best": self._best,
            "least": self._least,
            "since_better": self._since_better,
            "monitor": self._options["monitor"],
            "counts": [self.step, self.epoch, self._batches, self._evaluated],
            "row": self.row,
            "mean": self._mean.state_dict(),
            "history": self.history.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            CheckpointError: it is another model's, or another optimiser's.
        """
        own = self.state_dict()
        if missing := own.keys() - state.keys():
            raise CheckpointError(f"the checkpoint is no whole one of a training: it lacks {min(missing)!r}")
        if state["monitor"] != self._options["monitor"]:
            raise CheckpointError(
                f"fit: until now {state['monitor']!r} decided which model is the best: go on with it"
            )
        begins_later = state["average"] is None  # it may
        for name, what in _GIVEN.items():
            if (state[name] is None) != (own[name] is None) and not (name == "average" and begins_later):
                had = "with" if own[name] is None else "without"
                raise CheckpointError(f"fit: this training went on {had} {what} so far: go on so")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        if self._average is not None:
            self._average = Average(self.model, self._options["average"])
            if state["average"] is not None:
                self._average.load_state_dict(state["average"])
        if state["data"] is not None:
            self._data.load_state_dict(state["data"])
        random.set_state(state["random"])
        self._through.go_on_with(state["state"])
        self._best, self._least, self.row = state["best"], float(state["least"]), dict(state["row"])
        self._since_better = state["since_better"]
        self.step, self.epoch, self._batches, self._evaluated = state["counts"]
        self._mean.load_state_dict(state["mean"])
        self.history.load_state_dict(state["history"])


_GIVEN = {
    "schedule": "a schedule",
    "average": "an average",
    "data": "data that know their place, as those of tg.data",
}
"""What a training that goes on must have, or not have, as before."""


def keeps_place(thing: Any) -> bool:
    """Whether something says where it is, and goes there."""
    return all(callable(getattr(thing, name, None)) for name in ("state_dict", "load_state_dict"))
