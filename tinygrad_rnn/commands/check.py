"""``tinygrad-rnn check``: whether this installation computes what it should."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .. import atomic, backends


def add_check(commands: Any) -> None:
    """Take the command in."""
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


def _check(arguments: argparse.Namespace) -> int:
    from .. import selfcheck  # only this command needs its operands

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
