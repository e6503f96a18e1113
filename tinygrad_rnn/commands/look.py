"""``tinygrad-rnn graph`` and ``tinygrad-rnn flow``: pictures of a cell or a run."""

from __future__ import annotations

import argparse
import os
import shutil
import textwrap
from typing import Any

import numpy

from .. import nn, ops, random
from ..data import Vocabulary
from ..diagnosis import Report, flow
from ..errors import CheckpointError, DataError, DrawError
from ..graph import draw
from ..ops import Tensor
from ..tensor import tensor
from ..train.config import between, option
from ..train.data import plain, read_text, tokens_of
from ..train.model import LAYERS, LanguageModel, is_own, name_parameters, own_cell
from ..train.pictures import backprop
from ..train.remembering import flow_of, memory_of
from ..train.run import Run
from ..train.sampling import numbers_of
from ..train.snapshot import load_model
from .options import add_cell

_PAGE = 2000
"""Characters, or words, of a page, where nobody says how many."""


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
        metavar="N",
        help=f"over how many time steps (default: 50; a page has up to {_PAGE:,})",
    )
    parser.add_argument(
        "--out",
        metavar="DIR|FILE",
        help="where to write flow.csv and flow.png (default: the run's folder, else here); or a file that "
        "ends in .html: a page in which you point at a character and see what it was predicted from",
    )
    add_cell(parser)
    parser.add_argument(
        "--text",
        metavar="TEXT|FILE",
        help="follow the residuals of a run over this text, or that of this file (default: the run's own)",
    )


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
    if (arguments.out or "").lower().endswith(".html"):
        return _memory(what, arguments)
    steps = arguments.steps or 50
    if _is_cell(what):
        folder, report = "", flow(_loss_of_cell(what, 8, 16, steps))
    elif arguments.text is None:
        folder, report = what, _looked_at(arguments).flow(steps)
    else:
        folder, report = what, _flow_over(arguments, steps)
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


def _memory(what: str, arguments: argparse.Namespace) -> int:
    """Write the page of a text."""
    if _is_cell(what):
        raise DataError(
            f"{arguments.out} is a page of a text, and a cell reads none: name the folder of a run"
        )
    steps = arguments.steps or _PAGE
    model, vocabulary, tokens, part = _reading(arguments, steps)
    memory = memory_of(model, vocabulary, tokens)
    of = f" of {part}" if part else ""
    memory.title = f"What the run {os.path.basename(os.path.abspath(what))} remembers{of}"
    memory.save(arguments.out)
    print(memory)
    print(arguments.out)
    return 0


def _flow_over(arguments: argparse.Namespace, steps: int) -> Report:
    """Follow the residuals of a run over a text that was given."""
    model, vocabulary, tokens, _ = _reading(arguments, steps + 1)
    if len(tokens) < 3:
        raise DataError("--text: residuals go from step to step: give at least three characters or words")
    numbers = tensor(numbers_of(tokens, vocabulary)[:, None], backend=model.embedding.weight.backend)
    return flow_of(model, numbers[:-1], numbers[1:])


def _reading(arguments: argparse.Namespace, most: int) -> tuple[LanguageModel, Vocabulary[Any], Any, str]:
    """A run's model, and at most so many characters or words that it is to read: the first ones of the text
    that was given, else the last ones of its own, where what was held out is; and if they are not all, which
    they are."""
    text = arguments.text
    _check_run(arguments.what)
    model, vocabulary, config = load_model(arguments.what, arguments.cell)
    if text is None:
        tokens = tokens_of(read_text(config.text), config.words)[-most:]
        return model, vocabulary, tokens, f"the last {len(tokens):,} {config.unit}s of its own text"
    tokens = tokens_of(read_text(text) if os.path.exists(text) else plain(text), config.words)
    if not tokens:
        raise DataError("--text is empty: give a text, or a file that holds it")
    part = f"the first {most:,} of {len(tokens):,} {config.unit}s" if len(tokens) > most else ""
    if part:
        print(f"these are {part}: --steps says how many")
    return model, vocabulary, tokens[:most], part


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
    _check_run(arguments.what)
    return Run.resume(arguments.what, changes, arguments.cell)


def _check_run(what: str) -> None:
    """
    Raises:
        CheckpointError: it is neither the folder of a run nor a cell.
    """
    if not os.path.exists(what):
        raise CheckpointError(f"{what!r} is neither the folder of a run nor a cell ({', '.join(LAYERS)})")
