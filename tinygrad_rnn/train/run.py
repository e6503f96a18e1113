"""A run and its folder: settings, log and checkpoint, and when it is done three pictures and a sample. Every
file is whole or not there.

The log is written before the checkpoint, and rows beyond the checkpoint are dropped when a run is resumed: so
the two always agree.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import arguments, atomic, backends
from ..diagnosis.charts import figure_for
from ..errors import CheckpointError, DrawError, TinygradRNNError, TrainingError
from ..graph import draw
from . import snapshot
from .config import Config
from .data import Corpus
from .folder import BEST, LOG
from .lock import alone_in
from .loop import Step, Trainer, best_of
from .sampling import sample

HEADER = "step,bits_per_character,gradient_norm,learning_rate,held_out_bits_per_character,horizon,seconds"

CONFIG, SAMPLE = "config.json", "sample.txt"

LOOKS = 50
"""How many steps there are from one look at the residuals to the next; a look at one stream costs about as
much as a step or two."""


class Run:
    """A training run in its folder.

    Attributes:
        path: the folder.
        trainer: what is trained.
        steps: what every update told.
        saved: how many updates the checkpoint has behind it.
        horizon: how many steps back residuals reached when that was looked at last.
        seconds: how long all updates took so far, with the evaluations between them.
    """

    def __init__(self, path: Path, trainer: Trainer, steps: list[Step]) -> None:
        self.path = path
        self.trainer = trainer
        self.steps = steps
        self.saved: int = trainer.done
        self.horizon: int | None = None
        self.seconds: float = 0.0

    @classmethod
    def new(cls, config: Config, path: str | None = None) -> Run:
        """Make ready, and save before the first step: so a place that cannot be written to is known at once.

        Args:
            config: the settings.
            path: a folder that is empty or not there; by default the next free ``runs/CELL-NUMBER``.

        Raises:
            DataError: the text cannot be used; there is no folder then.
            CheckpointError: the folder is used already, or cannot be written to.
        """
        path = arguments.optional(arguments.path, "new: path", path)
        corpus = arguments.instance("new: config", config, Config).corpus()
        backends.get(config.backend)  # before there is a folder
        try:
            folder = _empty(Path(path)) if path is not None else _numbered(config.cell)
        except OSError as error:
            raise CheckpointError(
                f"cannot make the run folder {path or 'runs'}: {error.strerror}; choose another one with "
                "--run"
            ) from error
        with alone_in(folder):
            try:
                return cls._begun(folder, config, corpus)
            except TinygradRNNError:
                shutil.rmtree(folder, ignore_errors=True)  # all that is in it was made just now
                raise

    @classmethod
    def _begun(cls, folder: Path, config: Config, corpus: Corpus) -> Run:
        run = cls(folder, Trainer(config, corpus), [])
        atomic.write(folder / CONFIG, config.to_json() + "\n")
        run.save()
        return run

    @classmethod
    def resume(cls, path: str, changes: dict[str, Any]) -> Run:
        """A run as it was when it was saved last.

        Args:
            path: its folder.
            changes: settings to change.

        Raises:
            CheckpointError: its checkpoint or its log cannot be read.
            DataError: its text is gone or has changed.
            TrainingError: it is done.
        """
        run = cls.of(path, changes)
        run.check_open()
        return run

    def check_open(self) -> None:
        """
        Raises:
            TrainingError: all updates are made.
        """
        if self.trainer.done >= self.trainer.config.steps:
            raise TrainingError(
                f"the run {self.path} has made {self.trainer.done} steps already: go on with a larger --steps"
            )

    @property
    def is_finished(self) -> bool:
        """Whether its sample is written, which comes last."""
        return os.path.exists(self.path / SAMPLE)

    @classmethod
    def of(cls, path: str, changes: dict[str, Any]) -> Run:
        """A run as it was when it was saved last, also one that is done; one that was killed while it began
        is begun."""
        path = arguments.path("resume: path", path)
        settings = {setting.name for setting in dataclasses.fields(Config)}
        if not settings.issuperset(arguments.mapping("resume: changes", changes)):
            raise arguments.refused("resume: changes", "settings of Config by name", changes)
        folder = Path(path)
        begun, saved = os.path.exists(folder / CONFIG), os.path.exists(folder / snapshot.FILE)
        if begun and not saved and not cls._log(folder):  # killed while it began
            config = Config(**{**Config.settings(str(folder / CONFIG)), **changes})
            return cls._begun(folder, config, config.corpus())
        trainer = snapshot.resume(path, changes)
        run = cls(folder, trainer, [step for step in cls.log_of(path) if step.number <= trainer.done])
        if run.steps:
            run.horizon, run.seconds = run.steps[-1].horizon, run.steps[-1].seconds or 0.0
        return run

    @classmethod
    def _log(cls, folder: Path) -> list[Step]:
        """What every update told; nothing where there is no log yet."""
        return cls.log_of(str(folder)) if os.path.exists(folder / LOG) else []

    @staticmethod
    def log_of(path: str) -> list[Step]:
        """What every update of a run told.

        Raises:
            CheckpointError: there is no log, or it is damaged.
        """
        try:
            return [_step_of(row) for row in (Path(path) / LOG).read_text().splitlines()[1:]]
        except (OSError, ValueError) as error:
            raise CheckpointError(f"cannot read the log of the run {path}: {error}") from error

    @property
    def best(self) -> Step | None:
        """The step whose model knew the held-out text best; None before the first evaluation."""
        return best_of(self.steps)

    @property
    def is_over(self) -> bool:
        """Whether all updates are made, or patience is at its end."""
        config, best = self.trainer.config, self.best
        later = [
            step for step in self.steps if best and step.held_out is not None and step.number > best.number
        ]
        return self.trainer.done >= config.steps or 0 < config.patience <= len(later)

    def train(self, show: Callable[[Step], None], stopped: Callable[[], bool]) -> bool:
        """Make the updates that are left.

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
        stopping = self.is_over
        with alone_in(self.path):
            if not stopping:
                (self.path / SAMPLE).unlink(missing_ok=True)  # of another end
            while not stopping and not self.is_over:
                step = self._step()
                self.steps.append(step)
                show(step)
                stopping = stopped()
                if stopping or step.held_out is not None:
                    self.save()
        return self.is_over

    def _step(self) -> Step:
        """One update, and an evaluation where one is due."""
        config, began = self.trainer.config, time.monotonic()
        try:
            step = self.trainer.step()
            if step.number % config.every == 0 or step.number == config.steps:
                step = dataclasses.replace(step, held_out=self.trainer.evaluate())
            if (step.number - 1) % LOOKS == 0 and config.length > 1:
                self.horizon = self.trainer.flow(readers=1, states_only=True).horizon
            self.seconds += time.monotonic() - began
            step = dataclasses.replace(step, horizon=self.horizon, seconds=self.seconds)
        except TrainingError as error:
            raise TrainingError(
                f"{error}. The run as it was after step {self.saved} is in {self.path}"
            ) from error
        return step

    def save(self) -> None:
        """Write the log, the model if it is the best, and the checkpoint."""
        atomic.write(self.path / LOG, "\n".join([HEADER, *map(_row_of, self.steps)]) + "\n")
        if self.steps and self.best is self.steps[-1]:
            snapshot.save_model(self.path / BEST, self.trainer)
        snapshot.save(self.path / snapshot.FILE, self.trainer)
        self.saved = self.trainer.done

    def finish(self) -> tuple[str, list[str]]:
        """Go back to the best model; draw the losses, the backprop graph and the flow of residuals, and write
        a sample.

        Returns:
            The sample, and what could not be drawn and why.
        """
        model, _ = snapshot.load_model(str(self.path))
        self.trainer.model.load_state_dict(model.state_dict())
        notes = [
            note for draw in (self._draw_losses, self._draw_graph, self._draw_flow) if (note := _tried(draw))
        ]
        text = sample(self.trainer.model, self.trainer.corpus.vocabulary, seed=self.trainer.config.seed)
        atomic.write(self.path / SAMPLE, text + "\n")
        return text, notes

    def _draw_losses(self) -> None:
        figure = figure_for("loss.png", (7, 4))
        axes = figure.subplots()
        measured = [step for step in self.steps if step.held_out is not None]
        axes.plot(
            [step.number for step in self.steps],
            [step.bits for step in self.steps],
            linewidth=0.8,
            label="training",
        )
        axes.plot(
            [step.number for step in measured],
            [step.held_out for step in measured],
            "o-",
            markersize=4,
            label="held out",
        )
        axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        with atomic.replacing(self.path / "loss.png") as temporary:
            figure.savefig(temporary, dpi=150)

    def _draw_graph(self) -> None:
        """One character's way to its loss: the tape of a single time step."""
        loss, _ = self.trainer.loss(self.trainer.corpus.training, 0, 1)
        draw(loss).save(self.path / "graph.svg")

    def _draw_flow(self) -> None:
        """Where in a window the residual of its last character is still felt."""
        if self.trainer.config.length > 1:
            self.trainer.flow().save(self.path / "flow.png")


def _tried(draw: Callable[[], None]) -> str | None:
    """Why a picture was not drawn; a run does not fail for want of one."""
    try:
        draw()
    except DrawError as error:
        return str(error)
    return None


def _numbered(cell: str) -> Path:
    free = (path for number in itertools.count(1) if not (path := Path("runs") / f"{cell}-{number}").exists())
    return _empty(next(free))


def _empty(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise CheckpointError(
            f"the folder {path} is not empty: go on with its run by --resume {path}, or choose another one "
            "with --run"
        )
    return path


def _row_of(step: Step) -> str:
    held_out = "" if step.held_out is None else repr(step.held_out)  # all digits: it decides what is best
    horizon = "" if step.horizon is None else step.horizon
    seconds = "" if step.seconds is None else f"{step.seconds:.3f}"
    return f"{step.number},{step.bits:.6g},{step.norm:.6g},{step.rate:.6g},{held_out},{horizon},{seconds}"


def _step_of(row: str) -> Step:
    number, bits, norm, rate, held_out, *more = row.split(",")
    horizon, seconds = more or ("", "")  # which earlier logs lack
    return Step(
        int(number),
        float(bits),
        float(norm),
        float(rate),
        float(held_out) if held_out else None,
        int(horizon) if horizon else None,
        float(seconds) if seconds else None,
    )
