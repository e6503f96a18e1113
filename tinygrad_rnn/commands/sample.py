"""``tinygrad-rnn sample`` and ``tinygrad-rnn compare``: what trained models write, and how good they are."""

from __future__ import annotations

import argparse
import os
from typing import Any

from .. import atomic
from ..arguments import rate
from ..diagnosis.charts import ENDINGS, rendered
from ..errors import DrawError
from ..reading.words import table
from ..train import snapshot
from ..train.comparing import comparison
from ..train.config import SEED, at_least, option
from ..train.dashboard import dashboard
from ..train.output import say
from ..train.sampling import sample
from .options import add_own_cell


def add_sample(commands: Any) -> None:
    """Take the command in."""
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
        help="how many characters, or words (default: 600)",
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
    add_own_cell(parser)
    parser.add_argument("--stop", default="", metavar="TEXT", help="end where this has been written")
    parser.add_argument("--prompt", default="", help="how the text begins")
    parser.add_argument(
        "--seed",
        type=option(int, SEED),
        default=0,
        metavar="N",
        help="another seed, another text (default: 0)",
    )


def add_compare(commands: Any) -> None:
    """Take the command in."""
    parser = commands.add_parser(
        "compare", help="several runs side by side", description="Several runs side by side, the best first."
    )
    parser.set_defaults(command=_compare)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="draw them over each other; its ending is the format: png, svg or pdf",
    )


def _sample(arguments: argparse.Namespace) -> int:
    model, vocabulary, config = snapshot.load_model(arguments.run, arguments.cell)
    how = {
        name: getattr(arguments, name)
        for name in ("length", "temperature", "prompt", "seed", "top_k", "stop")
    }
    return say(sample(model, vocabulary, words=config.words, **how))


def _compare(arguments: argparse.Namespace) -> int:
    lines, is_one_text = comparison(arguments.runs)
    apart = [] if is_one_text else ["the runs learned from different texts: their figures do not compare"]
    if arguments.out is None:
        return say("\n".join([*table(lines, "<<>>>>>>"), *apart]))
    kind = os.path.splitext(arguments.out)[1].lower()[1:]
    if kind not in ENDINGS:
        known = ", ".join(f".{ending}" for ending in ENDINGS)
        raise DrawError(f"compare: {arguments.out!r} has none of the endings {known}")
    atomic.write(arguments.out, rendered(dashboard(arguments.runs), kind), DrawError)
    return say("\n".join([*table(lines, "<<>>>>>>"), *apart, arguments.out]))
