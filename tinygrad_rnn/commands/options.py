"""Options that several commands have."""

from __future__ import annotations

import argparse

from ..train.config import cell_name, option


def add_cell(parser: argparse.ArgumentParser) -> None:
    """The cell of a command that looks at a cell or a run."""
    parser.add_argument(
        "--cell",
        type=option(str, cell_name),
        metavar="CELL",
        help="the recurrent cell (default: lstm); of a run, if it is module:Class, once more",
    )


def add_own_cell(parser: argparse.ArgumentParser) -> None:
    """The cell of a run, which no file may have run."""
    parser.add_argument(
        "--cell",
        type=option(str, cell_name),
        metavar="MODULE:CLASS",
        help="the run's cell once more, if it is code of your own",
    )
