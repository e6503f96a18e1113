"""A training under way: the loop over batches, evaluations between them, and all that it takes to go on.

batch = (inputs …, targets)
  outputs = model(inputs …)        or: outputs, state = model(inputs …, state), carried on
  loss(outputs, targets)  ──▶ residuals ──▶ clip ──▶ optimiser ──▶ schedule
after each epoch, or every so many updates
  validation: loss and metrics ──▶ history, best model, checkpoint, callbacks
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from .. import nn, optim, random
from ..errors import DataError, TrainingError
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
        self._through = Through(model, loss, options["carry"])
        self._average = None if options["average"] is None else Average(model, options["average"])
        self._mean = Mean()
        self._batches = 0  # of this epoch
        self._waiting = 0  # whose residuals no update has taken yet
        self._evaluated = -1  # the step of the last evaluation
        self._best: dict[str, Any] | None = None
        self._least = math.inf
        self._folder: Folder | None = None

    def stop(self) -> None:
        """End after this update."""
        self.history.stopped = "asked"

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self) -> History:
        """Learn until an option, or a callback, says that it is enough."""
        options = self._options
        if options["folder"] is not None:
            self._folder = Folder(options["folder"], options["resume"])
            if self._folder.last is not None:
                self.load_state_dict(self._folder.last.part("fit"))
        self.history.stopped = ""
        before = self.model.training
        with Reports(self, options) as reports:
            try:
                while not self._is_over():
                    self._learn_epoch(reports)
            finally:
                self.model.train(before)
        if self._best is not None and options["validation"] is not None:
            self.model.load_state_dict(self._best)
        return self.history

    def _is_over(self) -> bool:
        epochs, steps = self._options["epochs"], self._options["steps"]
        if not self.history.stopped and steps is not None and self.step >= steps:
            self.history.stopped = "steps"
        if not self.history.stopped and epochs is not None and self.epoch >= epochs:
            self.history.stopped = "epochs"
        return bool(self.history.stopped)

    def _learn_epoch(self, reports: Reports) -> None:
        """Go on through the data, to their end or to that of the training."""
        self.model.train()
        for batch in self._data_left():
            self._batches += 1
            self._learn(batch)
            if self._waiting == 0:
                self._after_update(reports)
                if self._is_over():
                    break
        else:
            self._end_epoch(reports)
            if self._options["every"] is None:
                self._evaluate(reports)
        if self._is_over() and self._evaluated != self.step:
            self._evaluate(reports)

    def _data_left(self) -> Iterator[Any]:
        """The batches of this epoch from where it stands; data that know where they stand begin there."""
        batches = iter(self._data)
        if not hasattr(self._data, "state_dict"):
            for _ in range(self._batches):
                next(batches, None)
        return batches

    def _after_update(self, reports: Reports) -> None:
        every = self._options["every"]
        reports.updated()
        if every is not None and self.step % every == 0:
            self._evaluate(reports)

    def _end_epoch(self, reports: Reports) -> None:
        if not self._batches:
            again = (
                " a second time: give a list or tg.data.batches, which can be read again"
                if self.epoch
                else ""
            )
            raise DataError(f"fit: the data give no batches{again}")
        self.epoch, self._batches, self._through.state = self.epoch + 1, 0, None
        if self._waiting:
            self._update(None)
            self._after_update(reports)

    def _learn(self, batch: Any) -> None:
        """Take in a batch, and update where enough of them wait."""
        several = self._options["accumulate"]
        with self._at_step():
            loss, weight, _, _ = self._through(batch)
            self._mean.add(loss.item(), weight)
            self.row["loss"] = loss.item()
            self._waiting += 1
            part = loss if several == 1 else loss / several
            if self._waiting < several:
                part.backward()
            else:
                self._update(part)

    def _update(self, loss: Any) -> None:
        self.row["rate"] = self.optimizer.groups[0].lr
        schedule = None if self._waits_for_evaluations else self.schedule
        self.row["norm"] = update(loss, self.optimizer, self._options["clip"], schedule)
        self._waiting = 0
        self.step += 1
        if self._average is not None:
            self._average.update()

    @contextlib.contextmanager
    def _at_step(self) -> Iterator[None]:
        """A block whose errors of training say where it stands."""
        try:
            yield
        except TrainingError as error:
            self.optimizer.zero_grad()
            kept = f". What was kept last is in {self._folder.path}" if self._folder is not None else ""
            raise TrainingError(f"fit: at step {self.step + 1} {error}{kept}") from error

    @property
    def _waits_for_evaluations(self) -> bool:
        """Whether the schedule goes by what evaluations find."""
        return isinstance(self.schedule, optim.PlateauLR)

    # -- evaluations -----------------------------------------------------------------------------------------

    def _evaluate(self, reports: Reports) -> None:
        """Add a line to the history, keep the model if it is the best, and save."""
        options = self._options
        row: dict[str, Any] = {"step": self.step, "epoch": self.epoch, **self.row, "loss": self._mean.value()}
        with self._at_step(), self._averaged():
            if options["validation"] is not None:
                told = evaluate(
                    self.model, self._loss, options["validation"], options["metrics"], options["carry"]
                )
                row |= {"validation_loss": told.pop("loss"), **told}
            better = self._is_better(row[options["monitor"]])
            if better:
                self._best = self.model.state_dict()
        self.history.add(row, better)
        self._mean.reset()
        self._evaluated = self.step
        self._lose_patience()
        if self._waits_for_evaluations:
            self.schedule.step(row[options["monitor"]])
        if self._folder is not None:
            self._folder.save({"fit": self.state_dict()}, self._best if better else None, self.history)
        reports.evaluated()

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._average is None else self._average.in_place()

    def _is_better(self, value: float) -> bool:
        sign = -1 if self._options["greater_is_better"] else 1
        if not sign * value < self._least:
            return False
        self._least = sign * value
        return True

    def _lose_patience(self) -> None:
        patience, last = self._options["patience"], len(self.history)
        if patience is not None and not self.history.stopped and last - 1 - self.history.best_at >= patience:
            self.history.stopped = "patience"

    # -- going on --------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "data": self._data.state_dict() if hasattr(self._data, "state_dict") else None,
            "random": random.get_state(),
            "state": self._through.state,
            "best": self._best,
            "least": self._least,
            "counts": [self.step, self.epoch, self._batches, self._evaluated],
            "row": self.row,
            "history": self.history.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            CheckpointError: it is another model's, or another optimiser's.
        """
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None and state["schedule"] is not None:
            self.schedule.load_state_dict(state["schedule"])
        if self._average is not None and state["average"] is not None:
            self._average.load_state_dict(state["average"])
        if state["data"] is not None:
            self._data.load_state_dict(state["data"])
        random.set_state(state["random"])
        self._through.go_on_with(_with_tuples(state["state"]))
        self._best, self._least, self.row = state["best"], state["least"], dict(state["row"])
        self.step, self.epoch, self._batches, self._evaluated = state["counts"]
        self.history.load_state_dict(state["history"])


def _with_tuples(state: Any) -> Any:
    """A nested state as layers return it: files have lists for tuples."""
    if isinstance(state, dict):
        return {key: _with_tuples(part) for key, part in state.items()}
    return tuple(map(_with_tuples, state)) if isinstance(state, list) else state
