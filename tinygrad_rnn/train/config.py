"""What a training run is: every setting once, with its default, its meaning and the values it takes."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import arguments, optim
from ..errors import ArgumentError, CheckpointError, DataError
from .data import Corpus, read_text
from .model import LAYERS, LanguageModel, is_own, own_cell

Check = Callable[[str, Any], Any]


def option(kind: Callable[[str], Any], check: Check) -> Callable[[str], Any]:
    """A reader of numbers for argparse.

    Args:
        kind: int or float.
        check: what the number must be, one of ``arguments``.
    """

    def read(text: str) -> Any:
        try:
            return check("", kind(text))
        except ArgumentError as error:
            raise argparse.ArgumentTypeError(str(error).strip()) from None
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a {'whole ' if kind is int else ''}number"
            ) from None

    return read


def at_least(least: int) -> Check:
    """The check of a whole number from there on."""
    return functools.partial(arguments.size, least=least)


def between(least: int, most: int) -> Check:
    """The check of a whole number of what is made one by one, or drawn: more would be worked on for hours
    without a word."""

    def check(what: str, value: Any) -> int:
        number = arguments.size(what, value, least)
        if number > most:
            raise arguments.refused(what, f"at most {most:,}", value)
        return number

    return check


SEED: Check = functools.partial(arguments.whole, least=0)


def one_of(*words: str) -> Check:
    return functools.partial(arguments.choice, options=words)


def _setting(default: Any, meaning: str, check: Check, **argument: Any) -> Any:
    """A field that argparse can read: the keywords are those of ``add_argument``."""
    if not argument.keys() & {"choices", "action"}:
        argument.setdefault("metavar", "N")
        argument.setdefault("type", option(type(default), check))
    return dataclasses.field(
        default=default, metadata={"meaning": meaning, "check": check, "argument": argument}
    )


OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSProp,
    "sgd": functools.partial(optim.SGD, momentum=0.9),
}
SCHEDULES: dict[str, Callable[[optim.Optimizer, Config], optim.Schedule]] = {
    "cosine": lambda optimizer, config: optim.CosineLR(optimizer, config.steps),
    "constant": lambda optimizer, config: optim.LambdaLR(optimizer, lambda n: 1.0),
    "onecycle": lambda optimizer, config: optim.OneCycleLR(
        optimizer, config.lr, config.steps, cycle_momentum=config.optimizer in ("adam", "adamw", "sgd")
    ),
}


def _whole_path(what: str, value: Any) -> str | None:
    """The place of a file from the root on, or None."""
    path = arguments.optional(arguments.path, what, value)
    return None if path is None else os.path.abspath(path)


def _share_or_path(what: str, value: Any) -> str:
    """A share between 0 and 1, or the place of a file from the root on."""
    text = arguments.path(what, str(value) if isinstance(value, float) else value)
    try:
        share = float(text)
    except ValueError:
        return os.path.abspath(text)
    if not 0 < share < 1:
        raise arguments.refused(what, "a share between 0 and 1, or a file", value)
    return text


def cell_name(what: str, value: Any) -> str:
    """The check of a cell: one of :data:`LAYERS`, or ``module:Class``."""
    if is_own(value):
        return str(value)
    if isinstance(value, str) and value not in LAYERS:
        raise arguments.refused(what, f"{', '.join(LAYERS)}, or module:Class, a cell of your own", value)
    return str(arguments.choice(what, value, tuple(LAYERS)))


WIDEST = 1 << 16
"""Units: from there on a layer's matrix alone takes more memory than machines have."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a run; the defaults learn English-looking words in about 20 seconds on two cores of a
    Zen 4 (extra ``fast``).

    Raises:
        ArgumentError: a setting has a value that it cannot have.
    """

    cell: str = _setting(
        "lstm",
        f"the recurrent cell: {', '.join(LAYERS)}; or one of your own, module:Class, made from two sizes",
        cell_name,
        metavar="CELL",
        type=option(str, cell_name),
    )
    hidden: int = _setting(128, "units of each layer", between(1, WIDEST))
    layers: int = _setting(1, "layers on top of each other", between(1, 1000))
    embed: int = _setting(32, "numbers that stand for a character", between(1, WIDEST))
    dropout: float = _setting(0.0, "share of units dropped between layers", arguments.decay)
    batch: int = _setting(32, "texts read at the same time", at_least(1))
    length: int = _setting(32, "time steps that residuals flow back through", at_least(1))
    steps: int = _setting(1500, "updates of the parameters", at_least(1))
    lr: float = _setting(0.01, "learning rate at the start, or the highest of onecycle", arguments.positive)
    optimizer: str = _setting(
        "adam", "how the parameters are changed", one_of(*OPTIMIZERS), choices=tuple(OPTIMIZERS)
    )
    weight_decay: float = _setting(0.0, "how strongly parameters are drawn to 0", arguments.rate)
    schedule: str = _setting(
        "cosine", "how the learning rate goes on", one_of(*SCHEDULES), choices=tuple(SCHEDULES)
    )
    clip: float = _setting(1.0, "largest norm of the gradient", arguments.positive)
    every: int = _setting(100, "updates from one evaluation and checkpoint to the next", at_least(1))
    patience: int = _setting(
        0, "evaluations without a better one after which training ends; 0: never", arguments.size
    )
    seed: int = _setting(0, "where chance starts from", SEED)
    text: str | None = _setting(
        None,
        "a UTF-8 file to learn from (default: the Python language reference)",
        _whole_path,
        metavar="FILE",
        type=os.path.abspath,
    )
    words: bool = _setting(
        False,
        "read the text by words, not by characters",
        arguments.flag,
        action=argparse.BooleanOptionalAction,
    )
    held_out: str = _setting(
        "0.1",
        "share of the text, at its end, that is kept back to measure by; or another file",
        _share_or_path,
        metavar="SHARE|FILE",
        type=option(str, _share_or_path),
    )
    backend: str = _setting("numpy", "where to compute", one_of("numpy", "cupy"), choices=("numpy", "cupy"))

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            value = setting.metadata["check"](f"Config: {setting.name}", getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    @property
    def unit(self) -> str:
        """What the text is read by, in the singular."""
        return "word" if self.words else "character"

    def optimiser(self, model: LanguageModel) -> tuple[optim.Optimizer, optim.Schedule]:
        """A fresh optimiser for a model, and the schedule of its learning rate."""
        parameters = model.parameters()
        optimizer = OPTIMIZERS[self.optimizer](parameters, lr=self.lr, weight_decay=self.weight_decay)
        return optimizer, SCHEDULES[self.schedule](optimizer, self)

    def maker(self, cell: Any = None) -> Any:
        """What makes the cell: its name, or code of somebody's own.

        Args:
            cell: that code, or its name. No file alone has code run: whoever goes on with such a run gives it
                or names it again.

        Raises:
            ArgumentError: it is not given, or not what the settings name.
        """
        if not is_own(self.cell):
            if not (cell is None or (isinstance(cell, str) and cell == self.cell)):
                raise ArgumentError(f"the cell is {self.cell}, not {arguments.shown(cell)}: leave it out")
            return self.cell
        if cell is None:
            raise ArgumentError(
                f"the cell is {self.cell}, code of somebody's own, which no file may have run: name it again "
                f"by --cell {self.cell}"
            )
        if isinstance(cell, str) and cell != self.cell:
            raise ArgumentError(f"the cell is {self.cell}, not {cell}")
        return own_cell(cell) if isinstance(cell, str) else cell

    def model(self, tokens: int, make: Any = None) -> LanguageModel:
        """A fresh model for that many different characters or words, of a :meth:`maker`."""
        make = self.maker() if make is None else make
        return LanguageModel(tokens, make, self.embed, self.hidden, self.layers, self.dropout)

    def corpus(self) -> Corpus:
        """The text, made ready.

        Raises:
            DataError: it is missing, not a text, or too short.
        """
        try:
            held_out: float | str = float(self.held_out)
        except ValueError:
            held_out = read_text(self.held_out)
        return Corpus.of(read_text(self.text), self.batch, self.length, held_out, self.words)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def settings(cls, path: str) -> dict[str, Any]:
        """Settings by name, from a JSON file such as a run's ``config.json``.

        Raises:
            DataError: it is missing, or no JSON.
            ArgumentError: a setting is unknown.
        """
        try:
            given = json.loads(
                Path(arguments.path("Config.settings: path", path)).read_text(encoding="utf-8")
            )
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"cannot read the settings {path}: {error}") from error
        known = [setting.name for setting in dataclasses.fields(cls)]
        if not isinstance(given, dict):
            raise DataError(f'the settings {path} are no JSON object, such as {{"hidden": 64}}')
        if unknown := sorted(given.keys() - {*known}):
            raise ArgumentError(f"{path}: there is no setting {unknown[0]!r}: there are {', '.join(known)}")
        return given

    @classmethod
    def from_json(cls, text: str) -> Config:
        """The settings that were written.

        Raises:
            CheckpointError: they are of another version or another program.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"these are not the settings of a run of this version ({error}): train it again"
            ) from error
