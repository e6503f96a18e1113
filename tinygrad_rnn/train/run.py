"""A run of ``tinygrad-rnn train`` in its folder: settings, what :func:`fit` keeps, and when it is done three
pictures and a sample. Every file is whole or not there.

The log is written before the checkpoint, and rows beyond the checkpoint are dropped when a run is resumed: so
the two always agree.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import arguments, atomic, backends, random
from ..derived.losses import cross_entropy
from ..diagnosis import Report
from ..errors import CheckpointError, TinygradRNNError, TrainingError
from ..tensor import Tensor, tensor
from . import pictures, snapshot
from .config import Config
from .data import Corpus
from .fit import fit
from .folder import BEST, LAST, LOG
from .history import History
from .lock import LEFT, alone_in
from .model import LanguageModel
from .remembering import flow_of
from .sampling import sample
from .steps import Step, best_of, read_log, table
from .training import Training

CONFIG, SAMPLE = "config.json", "sample.txt"

LOOKS = 50
"""How many steps there are from one look at the residuals to the next; a look at one stream costs about as
much as a step or two."""

GATES = 4 * LOOKS
"""How many steps there are from one look at saturated gates to the next, which costs half a step more."""


class Run:
    """A training run in its folder.

    Attributes:
        path: the folder.
        config, corpus, model: what is trained on what.
        steps: what every update told.
        saved: how many updates the checkpoint has behind it.
    """

    def __init__(self, path: Path, config: Config, corpus: Corpus, make: Any) -> None:
        self.path = path
        self.config: Config = config
        self.corpus: Corpus = corpus
        random.seed(config.seed)
        with backends.use_backend(config.backend):
            self.model: LanguageModel = config.model(len(self.corpus.vocabulary), make)
        self.steps: list[Step] = []
        self.saved: int = 0

    @classmethod
    def new(cls, config: Config, path: str | None = None, cell: Any = None) -> Run:
        """Make ready.

        Args:
            config: the settings.
            path: a folder that is empty or not there; by default the next free ``runs/CELL-NUMBER``.
            cell: what makes the cell, or its name, if it is code of somebody's own.

        Raises:
            DataError: the text cannot be used; there is no folder then.
            CheckpointError: the folder is used already, or cannot be written to.
        """
        path = arguments.optional(arguments.path, "new: path", path)
        arguments.instance("new: config", config, Config)
        corpus, make = config.corpus(), config.maker(cell)
        backends.get(config.backend)  # before there is a folder
        folder, is_made = _numbered(config.cell) if path is None else _fresh(Path(path))
        with alone_in(folder):
            _check_empty(folder)
            try:
                atomic.write(folder / CONFIG, config.to_json() + "\n")
                return cls(folder, config, corpus, make)
            except (TinygradRNNError, MemoryError):
                (folder / CONFIG).unlink(missing_ok=True)
                if is_made:
                    folder.rmdir()
                raise

    @classmethod
    def resume(cls, path: str, changes: dict[str, Any], cell: Any = None) -> Run:
        """A run as it was when it was saved last.

        Args:
            path: its folder.
            changes: settings to change.
            cell: what makes the cell, or its name, if it is code of somebody's own.

        Raises:
            CheckpointError: it is none, or its checkpoint or log cannot be read.
            DataError: its text is gone or has changed.
            ArgumentError: the cell is somebody's own code, and was not given.
        """
        folder = Path(arguments.path("run", path))
        known = {setting.name for setting in dataclasses.fields(Config)}
        if not known.issuperset(arguments.mapping("run: changes", changes)):
            raise arguments.refused("run: changes", "settings of Config by name", changes)
        if not os.path.isfile(folder / CONFIG):
            raise CheckpointError(f"{path} is no folder of a training run: there is no {CONFIG} in it")
        settings = Config.settings(str(folder / CONFIG))
        config = Config(**{**settings, **changes})
        run = cls(folder, config, config.corpus(), config.maker(cell))
        if os.path.exists(folder / LAST):
            run.saved, weights = snapshot.last_of(folder, run.corpus)
            run.steps = [step for step in read_log(folder) if step.number <= run.saved]
            if len(run.steps) != run.saved:
                raise CheckpointError(f"the log of the run {path} lacks steps that its checkpoint has made")
            run.model.load_state_dict(weights)
        elif not _may_begin(folder, settings.get("every", 0)):
            raise CheckpointError(f"the run {path} has lost its {LAST}: put it back, or start a new run")
        return run

    def check_open(self) -> None:
        """Refuse to go on with a run that is done.

        Raises:
            TrainingError: all updates are made.
        """
        if self.saved >= self.config.steps:
            raise TrainingError(
                f"the run {self.path} has made {self.saved} steps already: go on with a larger --steps"
            )

    @property
    def is_finished(self) -> bool:
        """Whether its sample is written, which comes last."""
        return os.path.exists(self.path / SAMPLE)

    @property
    def best(self) -> Step | None:
        """The step whose model knew the held-out text best; None before the first evaluation."""
        return best_of(self.steps)

    def train(self, show: Callable[[Step], None], stopped: Callable[[], bool]) -> bool:
        """Make the updates that are left; the model is the best one then.

        Args:
            show: told about each update.
            stopped: whether to save and stop after the update that was under way.

        Returns:
            Whether the run came to its end.

        Raises:
            TrainingError: a loss or a gradient is not finite; the last good checkpoint stays.
            CheckpointError: the run cannot be saved, and the checkpoint before stays; or another process
                trains in its folder.
        """
        config = self.config
        del self.steps[self.saved :]  # of a training that failed
        optimizer, schedule = config.optimiser(self.model)
        watch = _Watch(self, show, stopped)
        history = fit(
            self.model,
            cross_entropy,
            self.corpus.training,
            steps=config.steps,
            optimizer=optimizer,
            schedule=schedule,
            clip=config.clip,
            carry=True,
            validation=self.corpus.held_out,
            every=config.every,
            patience=config.patience or None,
            folder=self.path,
            resume="auto",
            log=self._log,
            metadata=snapshot.metadata(config, self.corpus),
            callbacks=[watch],
            progress=False,
        )
        self.saved = len(self.steps)
        return history.stopped != "paused"

    def _log(self, history: History) -> str:
        """A line for each update, with what evaluations found."""
        if history and self.steps and history.rows[-1]["step"] == self.steps[-1].number:
            found = history.rows[-1]["validation_loss"] / math.log(2)
            self.steps[-1] = dataclasses.replace(self.steps[-1], held_out=found)
        return table(self.steps, self.config.unit)

    def flow(
        self,
        length: int | None = None,
        readers: int | None = None,
        states_only: bool = False,
        update: int | None = None,
    ) -> Report:
        """Follow the residuals back to the first character of the window that was learned from last. Training
        goes on as if nothing had been looked at.

        Args:
            length: of the window; as in training by default.
            readers: look at so many of the streams only.
            states_only: as in :func:`tinygrad_rnn.flow`.
            update: the window is that of this update; by default of the last one.
        """
        number = max(1, len(self.steps)) if update is None else update
        place = (number - 1) % len(self.corpus.training) * self.config.length
        numbers, following = self.window(place, length or self.config.length, readers)
        return flow_of(self.model, numbers, following, states_only)

    def window(self, position: int, length: int, readers: int | None = None) -> tuple[Tensor, Tensor]:
        """What is read from some place in the text on, and what follows it: (length, readers) each."""
        numbers, following = self.corpus.streams.window(position, length)
        on = self.config.backend
        return tensor(numbers[:, :readers], backend=on), tensor(following[:, :readers], backend=on)

    def finish(self) -> tuple[str, list[str]]:
        """Draw the dashboard, the backprop graph and the flow of residuals, and write a sample.

        Returns:
            The sample, and what could not be drawn and why.
        """
        notes = pictures.drawn(self)
        text = sample(self.model, self.corpus.vocabulary, seed=self.config.seed, words=self.config.words)
        atomic.write(self.path / SAMPLE, text + "\n")
        return text, notes


class _Watch:
    """Follows a training by ``fit``: what each update told, now and then the horizon, and whether to stop."""

    def __init__(self, run: Run, show: Callable[[Step], None], stopped: Callable[[], bool]) -> None:
        self._run, self._show, self._stopped = run, show, stopped
        last = run.steps[-1] if run.steps else Step(0, 0.0, 0.0, 0.0)
        self._horizon, self._seconds = last.horizon, last.seconds or 0.0
        self._began: float = time.monotonic()
        self._is_first = True

    def on_update(self, training: Training) -> None:
        run, row, number = self._run, training.row, training.step
        if number != len(run.steps) + 1:
            raise CheckpointError(f"another process has trained in {run.path} meanwhile: go on by --resume")
        if self._is_first:  # now the folder is ours
            atomic.write(run.path / CONFIG, run.config.to_json() + "\n")
            (run.path / SAMPLE).unlink(missing_ok=True)  # of another end
            self._is_first = False
        saturated: dict[str, float] = {}
        if (number - 1) % LOOKS == 0 and run.config.length > 1:
            with contextlib.suppress(TinygradRNNError):  # a cell may hand no state on
                report = run.flow(readers=1, states_only=True, update=number)
                self._horizon = report.horizon
                saturated = _saturated(report) if (number - 1) % GATES == 0 else {}
        now = time.monotonic()
        self._seconds, self._began = self._seconds + now - self._began, now
        bits = row["loss"] / math.log(2)
        step = Step(number, bits, row["norm"], row["rate"], None, self._horizon, self._seconds, saturated)
        run.steps.append(step)
        if number % run.config.every and number != run.config.steps:  # else it is told with the evaluation
            self._show(step)
        if self._stopped():
            training.pause()

    def on_evaluation(self, training: Training) -> None:
        self._run.saved = training.step
        self._show(self._run.steps[-1])


def _saturated(report: Report) -> dict[str, float]:
    """For each gate of each layer the share of slopes that are nearly 0; of those of one name their mean."""
    found: dict[str, list[float]] = {}
    for gate in report.activations():
        if gate.chain is not None:
            found.setdefault(gate.full_name, []).append(gate.saturated)
    return {name: sum(shares) / len(shares) for name, shares in found.items()}


def _may_begin(folder: Path, every: int) -> bool:
    """Whether a run without a checkpoint is one that was killed before its first one was whole."""
    if os.path.exists(folder / SAMPLE):
        return False
    rows = len(read_log(folder)) if os.path.exists(folder / LOG) else 0
    return 0 < rows <= every or not (rows or os.path.exists(folder / BEST))


def _numbered(cell: str) -> tuple[Path, bool]:
    """The next free folder, made."""
    name = cell.replace(":", ".")
    for number in itertools.count(1):
        with contextlib.suppress(FileExistsError):  # another process may begin now, too
            return _made(Path("runs") / f"{name}-{number}"), True
    raise AssertionError


def _fresh(path: Path) -> tuple[Path, bool]:
    """A folder that is empty, and whether it was made."""
    try:
        return _made(path), True
    except FileExistsError as error:
        if not path.is_dir():
            raise CheckpointError(
                f"cannot make the run folder {path}: there is a file; choose another one with --run"
            ) from error
        _check_empty(path)
        return path, False


def _made(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except FileExistsError:
        raise
    except OSError as error:
        raise CheckpointError(
            f"cannot make the run folder {path}: {error.strerror}; choose another one with --run"
        ) from error
    return path


def _check_empty(path: Path) -> None:
    if any(not LEFT.fullmatch(file.name) for file in path.iterdir()):
        raise CheckpointError(
            f"the folder {path} is not empty: go on with its run by --resume {path}, or choose another one "
            "with --run"
        )
