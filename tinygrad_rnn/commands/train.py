"""``tinygrad-rnn train``: it says what happens; the work is done by a run."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from typing import Any

from .. import backends
from ..errors import TrainingError
from ..train.config import Config
from ..train.model import is_own
from ..train.output import say, told
from ..train.progress import progress
from ..train.run import Run
from ..train.stop import Stop

RESUMABLE = ("steps", "every", "patience", "text", "held_out", "backend")
"""What may change when a run is resumed."""


def add_train(commands: Any) -> None:
    """Take the command in."""
    parser = commands.add_parser(
        "train", help="learn to write text, by characters or words", description="Learn to write text."
    )
    parser.set_defaults(command=_train)
    for setting in dataclasses.fields(Config):
        default = "" if setting.default is None else f" (default: {setting.default})"
        flag, meaning = f"--{setting.name.replace('_', '-')}", setting.metadata["meaning"] + default
        parser.add_argument(flag, help=meaning, **setting.metadata["argument"])
    parser.add_argument(
        "--config", metavar="FILE", help="settings by name, as a run's config.json has them; options win"
    )
    parser.add_argument(
        "--run", metavar="DIR", help="the run's folder (default: the next free runs/CELL-NUMBER)"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")


def _train(arguments: argparse.Namespace) -> int:
    run = _run(arguments)
    config, tokens = run.config, len(run.corpus.vocabulary)
    size = sum(p.size for p in run.model.parameters())
    say(f"{config.cell} with {size:,} parameters on {tokens} {config.unit}s, in {run.path}")
    with Stop() as stop, progress(config, run.saved, sys.stdout) as shown:
        done = run.train(told(shown.show), stop)
    folder, again = shlex.quote(str(run.path)), f" --cell {config.cell}" * is_own(config.cell)
    if stop.signal is not None and not done:
        say(f"stopped by {stop.signal.name} and saved after step {run.saved} of {config.steps}; go on with")
        say(f"  tinygrad-rnn train --resume {folder}{again}")
        return 128 + stop.signal
    text, notes = run.finish()
    best = run.best
    assert best is not None
    assert best.held_out is not None
    a_character = best.held_out / run.corpus.characters
    shared = f" ({a_character:.3f} per character)" if config.words else ""
    say(
        f"held-out text: {best.held_out:.3f} bits per {config.unit}{shared}, after step {best.number}, which "
        f"is kept; a blind guess by frequencies takes {run.corpus.blind:.3f}"
    )
    for note in notes:
        say(f"not drawn: {note}")
    say(f"sample:\n{text}\nmore: tinygrad-rnn sample {folder}{again}")
    return 0


def _run(arguments: argparse.Namespace) -> Run:
    """A new run, or the one to go on with."""
    given: dict[str, Any] = {
        setting.name: getattr(arguments, setting.name) for setting in dataclasses.fields(Config)
    }
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.config is not None:
        given = {**Config.settings(arguments.config), **given}
    if arguments.resume is None:
        settings = Config(**{"backend": backends.current().name, **given})
        return Run.new(settings, arguments.run, arguments.cell)
    if is_own(arguments.cell):  # to have its code run again
        del given["cell"]
    named = [*given, "run"] if arguments.run else [*given]
    fixed = [f"--{name.replace('_', '-')}" for name in named if name not in RESUMABLE]
    if fixed:
        raise TrainingError(
            f"{', '.join(fixed)} cannot change when a run is resumed: leave it out, or start a new run"
        )
    run = Run.resume(arguments.resume, given, arguments.cell)
    if run.is_finished or "steps" in given:
        run.check_open()
    return run
