"""The command line: ``tinygrad-rnn train | sample | compare | graph | flow | check``. It says what happens;
the work is done elsewhere."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import os
import shlex
import shutil
import sys
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import numpy

from . import __version__, atomic, backends, ops, random
from .arguments import rate
from .diagnosis import flow
from .errors import CheckpointError, DataError, DrawError, TinygradRNNError, TrainingError
from .graph import draw
from .interop import convert
from .ops import Tensor
from .reading.words import table
from .tensor import tensor
from .train import snapshot
from .train.comparing import comparison
from .train.config import SEED, Config, at_least, between, option
from .train.loop import Trainer
from .train.model import LAYERS, name_parameters
from .train.output import lose, say, told
from .train.progress import progress
from .train.run import Run
from .train.sampling import sample
from .train.stop import Stop

RESUMABLE = ("steps", "every", "patience", "text", "backend")
"""What may change when a run is resumed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 done, 1 a check that found something wrong, 2 an error that was told on stderr, 128
            + N stopped by signal N.
    """
    # a terminal that lacks a character of the text shows ? for it
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status: int = arguments.command(arguments)
    except TinygradRNNError as error:
        return _refuse(str(error))
    except MemoryError as error:
        return _refuse(f"not enough memory ({error}): choose smaller sizes")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError as error:
        lose(error)
        return 0
    try:
        sys.stdout.flush()
    except OSError as error:
        lose(error)
        return status if isinstance(error, BrokenPipeError) else 2
    return status


def _warn(message: Warning | str, *_where: Any, **_line: Any) -> None:
    print(f"tinygrad-rnn: {message}", file=sys.stderr)


def _refuse(message: str) -> int:
    print(f"tinygrad-rnn: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-rnn", description="Recurrent networks with every gradient in sight."
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-rnn {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    for add in (_add_train, _add_sample, _add_compare, _add_graph, _add_flow, _add_check, convert.add):
        add(commands)
    return parser


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train", help="learn to write text, character by character", description="Learn to write text."
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


def _add_sample(commands: Any) -> None:
    parser = commands.add_parser(
        "sample", help="write text with a trained model", description="Write text with a trained model."
    )
    parser.set_defaults(command=_sample)
    parser.add_argument("run", metavar="RUN", help="the folder of a run, or a checkpoint of one")
    parser.add_argument(
        "--length",
        type=option(int, at_least(1)),
        default=600,
        metavar="N",
        help="how many characters (default: 600)",
    )
    parser.add_argument(
        "--temperature",
        type=option(float, rate),
        default=0.7,
        metavar="N",
        help="0: always the likeliest character; 1: as learned (default: 0.7)",
    )
    parser.add_argument(
        "--top-k",
        type=option(int, at_least(1)),
        metavar="N",
        help="draw among so many of the likeliest characters only (default: among all)",
    )
    parser.add_argument("--stop", default="", metavar="TEXT", help="end where this has been written")
    parser.add_argument("--prompt", default="", help="how the text begins")
    parser.add_argument(
        "--seed",
        type=option(int, SEED),
        default=0,
        metavar="N",
        help="another seed, another text (default: 0)",
    )


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser(
        "compare", help="several runs side by side", description="Several runs side by side, the best first."
    )
    parser.set_defaults(command=_compare)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs")


def _add_graph(commands: Any) -> None:
    parser = commands.add_parser(
        "graph", help="draw the backprop graph of a cell or a run", description="Draw a backprop graph."
    )
    parser.set_defaults(command=_graph)
    parser.add_argument(
        "what", nargs="?", metavar="RUN|CELL", help=f"the folder of a run, or a cell: {', '.join(LAYERS)}"
    )
    parser.add_argument(
        "--cell", choices=tuple(LAYERS), default="lstm", help="the recurrent cell (default: lstm)"
    )
    parser.add_argument(
        "--steps",
        type=option(int, between(1, 10_000)),
        default=2,
        metavar="N",
        help="over how many time steps (default: 2)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where to; its ending is the format: svg, png, pdf, dot or html (default: CELL.svg)",
    )
    parser.add_argument("--text", metavar="FILE", help="where the text of the run lies now, if it was moved")


def _add_flow(commands: Any) -> None:
    parser = commands.add_parser(
        "flow",
        help="how far back residuals reach, and where they die",
        description="Follow the residuals back.",
    )
    parser.set_defaults(command=_flow)
    parser.add_argument(
        "what",
        nargs="?",
        default="lstm",
        metavar="RUN|CELL",
        help="the folder of a run, or a fresh cell (default: lstm)",
    )
    parser.add_argument(
        "--steps",
        type=option(int, between(2, 100_000)),
        default=50,
        metavar="N",
        help="over how many time steps (default: 50)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where to write flow.csv and flow.png (default: the run's folder, else here)",
    )
    parser.add_argument("--text", metavar="FILE", help="where the text of the run lies now, if it was moved")


def _add_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="whether this installation computes what it should",
        description="Check an installation.",
    )
    parser.set_defaults(command=_check)
    parser.add_argument("--backend", choices=("numpy", "cupy"), help="the device (default: the one in use)")
    parser.add_argument(
        "--out", metavar="FILE", help="where to write the report, JSON (default: the standard output)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer operands, dtypes and sizes")


def _train(arguments: argparse.Namespace) -> int:
    run = _run(arguments)
    model, config, characters = run.trainer.model, run.trainer.config, len(run.trainer.corpus.vocabulary)
    size = sum(p.size for p in model.parameters())
    say(f"{config.cell} with {size:,} parameters on {characters} characters, in {run.path}")
    with Stop() as stop, progress(config, run.trainer.done, sys.stdout) as shown:
        done = run.train(told(shown.show), stop)
    folder = shlex.quote(str(run.path))
    if stop.signal is not None and not done:
        say(f"stopped by {stop.signal.name} and saved after step {run.saved} of {config.steps}; go on with")
        say(f"  tinygrad-rnn train --resume {folder}")
        return 128 + stop.signal
    text, notes = run.finish()
    best = run.best
    assert best is not None
    say(
        f"held-out text: {best.held_out:.3f} bits per character, after step {best.number}, which is kept; a "
        f"blind guess takes {math.log2(characters):.3f}"
    )
    for note in notes:
        say(f"not drawn: {note}")
    say(f"sample:\n{text}\nmore: tinygrad-rnn sample {folder}")
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
        return Run.new(Config(**{"backend": backends.current().name, **given}), arguments.run)
    fixed = [f"--{name}" for name in ([*given, "run"] if arguments.run else given) if name not in RESUMABLE]
    if fixed:
        raise TrainingError(
            f"{', '.join(fixed)} cannot change when a run is resumed: leave it out, or start a new run"
        )
    run = Run.of(arguments.resume, given)
    if run.is_finished:
        run.check_open()
    return run


def _sample(arguments: argparse.Namespace) -> int:
    model, vocabulary = snapshot.load_model(arguments.run)
    how = {
        name: getattr(arguments, name)
        for name in ("length", "temperature", "prompt", "seed", "top_k", "stop")
    }
    return say(sample(model, vocabulary, **how))


def _compare(arguments: argparse.Namespace) -> int:
    return say("\n".join(table(comparison(arguments.runs), "<<>>>>>>")))


def _graph(arguments: argparse.Namespace) -> int:
    cell = arguments.what or arguments.cell
    if cell in LAYERS:
        _refuse_text(arguments)
        path = arguments.out or f"{cell}.svg"
        loss = _loss_of_cell(cell, 2, 3, arguments.steps)
    else:
        path = arguments.out or os.path.join(cell, "graph.svg")
        trainer = _trainer(cell, arguments.text)
        loss, _ = trainer.loss(trainer.corpus.training, 0, arguments.steps)
    loss.name = "loss"
    picture = draw(loss, max_nodes=100 * arguments.steps)
    picture.save(path)
    print(f"{picture}\n{path}")
    return 0


def _flow(arguments: argparse.Namespace) -> int:
    if arguments.what in LAYERS:
        _refuse_text(arguments)
        folder, report = "", flow(_loss_of_cell(arguments.what, 8, 16, arguments.steps))
    else:
        folder, report = (
            arguments.what,
            _trainer(arguments.what, arguments.text, length=arguments.steps).flow(),
        )
    table, image = (os.path.join(arguments.out or folder, f"flow.{kind}") for kind in ("csv", "png"))
    report.save(table)
    print(report.table())
    for title, lines in (("where it loses most", report.worst()), ("gates", report.activations())):
        print(f"\n{title}:", *(_wrapped(str(line)) for line in lines), sep="\n")
    print(f"\n{table}")
    try:
        report.save(image)
        print(image)
    except DrawError as error:
        print(f"not drawn: {error}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from . import selfcheck  # only this command needs its operands

    report = selfcheck.run(
        arguments.backend or backends.current().name,
        arguments.quick,
        lambda line: print(line, file=sys.stderr),
    )
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    if arguments.out is None:
        print(text, end="")
    else:
        atomic.write(arguments.out, text)
    return 0 if report["passed"] else 1


def _wrapped(line: str) -> str:
    """A line as wide as the terminal, and what does not fit under it."""
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(line, width, initial_indent="  ", subsequent_indent="      ", break_long_words=False)


def _loss_of_cell(cell: str, inputs: int, hidden: int, steps: int) -> Tensor:
    """A fresh layer's outputs over some steps, squared and summed."""
    random.seed(0)
    layer = LAYERS[cell](inputs, hidden)
    name_parameters(layer)
    x = tensor(random.generator().standard_normal((steps, 1, inputs), numpy.float32), name="x")
    y, _ = layer(x)
    return ops.sum(y * y)


def _refuse_text(arguments: argparse.Namespace) -> None:
    if arguments.text is not None:
        raise DataError("--text is that of a run, and a cell has none: leave it out")


def _trainer(run: str, text: str | None, **changes: Any) -> Trainer:
    """The trainer of a run, to look at.

    Args:
        text: where its text lies now; None where it lay.
    """
    changes |= {} if text is None else {"text": os.path.abspath(text)}
    if not os.path.exists(run):
        raise CheckpointError(f"{run!r} is neither the folder of a run nor a cell ({', '.join(LAYERS)})")
    return snapshot.resume(run, changes)
