"""``tinygrad-rnn graph`` and ``tinygrad-rnn flow``: pictures of a cell or a run."""

from __future__ import annotations

import argparse
import os
import shutil
import textwrap
from typing import Any

import numpy

from .. import nn, ops, random
from ..diagnosis import flow
from ..errors import CheckpointError, DataError, DrawError
from ..graph import draw
from ..ops import Tensor
from ..tensor import tensor
from ..train.config import between, option
from ..train.model import LAYERS, is_own, name_parameters, own_cell
from ..train.pictures import backprop
from ..train.run import Run
from .options import add_cell


def add_graph(commands: Any) -> None:
    """Take the command in."""
    parser = commands.add_parser(
        "graph", help="draw the backprop graph of a cell or a run", description="Draw a backprop graph."
    )
    parser.set_defaults(command=_graph)
    parser.add_argument(
        "what", nargs="?", metavar="RUN|CELL", help=f"the folder of a run, or a cell: {', '.join(LAYERS)}"
    )
    add_cell(parser)
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


def add_flow(commands: Any) -> None:
    """Take the command in."""
    parser = commands.add_parser(
        "flow",
        help="how far back residuals reach, and where they die",
        description="Follow the residuals back.",
    )
    parser.set_defaults(command=_flow)
    parser.add_argument(
        "what",
        nargs="?",
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
    add_cell(parser)
    parser.add_argument("--text", metavar="FILE", help="where the text of the run lies now, if it was moved")


def _graph(arguments: argparse.Namespace) -> int:
    what = _what(arguments)
    if _is_cell(what):
        path = arguments.out or f"{what.replace(':', '.')}.svg"
        loss = _loss_of_cell(what, 2, 3, arguments.steps)
        loss.name = "loss"
        picture = draw(loss, max_nodes=100 * arguments.steps)
    else:
        path = arguments.out or os.path.join(what, "graph.svg")
        picture = backprop(_looked_at(arguments), arguments.steps)
    picture.save(path)
    print(f"{picture}\n{path}")
    return 0


def _flow(arguments: argparse.Namespace) -> int:
    what = _what(arguments)
    if _is_cell(what):
        folder, report = "", flow(_loss_of_cell(what, 8, 16, arguments.steps))
    else:
        folder, report = what, _looked_at(arguments).flow(arguments.steps)
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


def _wrapped(line: str) -> str:
    """A line as wide as the terminal, and what does not fit under it."""
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(line, width, initial_indent="  ", subsequent_indent="      ", break_long_words=False)


def _is_cell(what: str) -> bool:
    """Whether a word names a cell, not the folder of a run."""
    return what in LAYERS or (is_own(what) and not os.path.exists(what))


def _loss_of_cell(cell: str, inputs: int, hidden: int, steps: int) -> Tensor:
    """A fresh layer's outputs over some steps, squared and summed."""
    random.seed(0)
    layer = LAYERS[cell](inputs, hidden) if cell in LAYERS else nn.Recurrent(own_cell(cell)(inputs, hidden))
    name_parameters(layer)
    x = tensor(random.generator().standard_normal((steps, 1, inputs), numpy.float32), name="x")
    y, _ = layer(x)
    return ops.sum(y * y)


def _what(arguments: argparse.Namespace) -> str:
    """The run or cell to look at.

    Raises:
        DataError: an option is of a run, or names another cell.
    """
    what: str = arguments.what or arguments.cell or "lstm"
    if _is_cell(what) and arguments.text is not None:
        raise DataError("--text is that of a run, and a cell has none: leave it out")
    if _is_cell(what) and arguments.cell not in (None, what):
        raise DataError(
            f"the cell is {what}, and --cell {arguments.cell} is another one: leave one of them out"
        )
    return what


def _looked_at(arguments: argparse.Namespace) -> Run:
    """A run to draw or to follow residuals in."""
    changes = {} if arguments.text is None else {"text": os.path.abspath(arguments.text)}
    if not os.path.exists(arguments.what):
        raise CheckpointError(
            f"{arguments.what!r} is neither the folder of a run nor a cell ({', '.join(LAYERS)})"
        )
    return Run.resume(arguments.what, changes, arguments.cell)
