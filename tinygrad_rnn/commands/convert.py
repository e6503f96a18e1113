"""``tinygrad-rnn convert``: the weights of a file as a file of another framework."""

from __future__ import annotations

import argparse
from typing import Any

ENDINGS = ".safetensors", ".pt", ".pth", ".keras", ".h5", ".hdf5", ".onnx"
"""Those of the formats of ``interop.convert``, which takes longer to import than all else of a command."""


def add_convert(commands: Any) -> None:
    """Take the command in."""
    parser = commands.add_parser(
        "convert",
        help="write the weights of a file as a file of another framework",
        description=f"Write the weights of a file as another one. Endings: {', '.join(ENDINGS)}.",
    )
    parser.set_defaults(command=_convert)
    parser.add_argument("source", metavar="IN", help="the file to read; its ending is its format")
    parser.add_argument("target", metavar="OUT", help="the file to write; its ending is its format")
    parser.add_argument("--part", metavar="NAME", help="of a checkpoint of several things, the one to take")


def _convert(arguments: argparse.Namespace) -> int:
    from ..interop.convert import convert

    print(*convert(arguments.source, arguments.target, arguments.part), sep="\n")
    return 0
