"""``tinygrad-rnn export``: a trained model of text as a C file."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
from pathlib import Path
from typing import Any

from ..derived.losses import cross_entropy
from ..errors import ArgumentError, CheckpointError, DataError
from ..interop import c
from ..interop.c_file import identifier
from ..ops import zeros
from ..train import snapshot
from ..train.batch import evaluate
from ..train.config import Config, option
from ..train.data import Corpus
from ..train.model import LanguageModel
from ..train.output import say
from .options import add_own_cell


def add_export(commands: Any) -> None:
    """Take the command in."""
    parser = commands.add_parser(
        "export",
        help="write a trained model as a C file",
        description="Write a trained model as one C99 file, which needs neither Python nor a library.",
    )
    parser.set_defaults(command=_export)
    parser.add_argument("run", metavar="RUN", help="the folder of a run, or a checkpoint of one")
    parser.add_argument(
        "file",
        type=option(str, _c_file),
        metavar="FILE",
        help="where to, such as model.c; .h is the other ending",
    )
    parser.add_argument(
        "--weights",
        choices=("float32", "int8"),
        default="float32",
        help="how weights are kept: int8 takes a quarter of the memory (default: float32)",
    )
    parser.add_argument(
        "--name",
        type=option(str, identifier),
        default="model",
        metavar="WORD",
        help="what the names in the file begin with (default: model)",
    )
    add_own_cell(parser)
    parser.add_argument("--text", metavar="FILE", help="where the text of the run lies now, if it was moved")


def _c_file(what: str, path: str) -> str:
    """
    Raises:
        ArgumentError: its ending is that of another kind of file.
    """
    if not path.endswith((".c", ".h")):
        raise ArgumentError(
            f"{what}a C file is written, so its name must end in .c or .h, not {os.path.basename(path)!r}; "
            "as ONNX a run is written from Python: "
            "tg.interop.onnx.export(tg.train.load_run(RUN).model, path, example)"
        )
    return path


def _export(arguments: argparse.Namespace) -> int:
    model, vocabulary, config = snapshot.load_model(arguments.run, arguments.cell)
    model.eval()
    recurrent = model.recurrent.stepper()

    def step(number: Any, state: Any) -> Any:
        y, state = recurrent.cell(model.embedding(number), state)
        return model.readout(y), state

    first = zeros((1,), dtype="int32")
    sizes = c.export(
        step,
        arguments.file,
        first,
        recurrent.before(model.embedding(first)),
        arguments.weights,
        arguments.name,
        vocabulary,
    )
    say(
        f"{arguments.file}: {sizes.weights:,} bytes of weights ({arguments.weights}), {sizes.state:,} of a "
        f"state, {sizes.scratch:,} of the stack in a step"
    )
    return say(_losses(arguments.run, model, config, arguments.text))


def _losses(run: str, model: LanguageModel, config: Config, text: str | None) -> str:
    """What the model loses on the held-out text with either kind of weights, in words."""
    folder = Path(run if os.path.isdir(run) else os.path.dirname(run))
    config = config if text is None else dataclasses.replace(config, text=os.path.abspath(text))
    try:
        corpus = config.corpus()
        snapshot.last_of(folder, corpus)  # which refuses another text
    except (CheckpointError, DataError) as reason:
        return f"held-out text: not measured: {reason}; give the text of the run, --text FILE"
    exact = _bits(model, corpus)
    model.load_state_dict({name: c.dequantised(value) for name, value in model.state_dict().items()})
    return (
        f"held-out text: {exact:.4f} bits per {config.unit} with float32 weights, {_bits(model, corpus):.4f} "
        "with int8 weights"
    )


def _bits(model: LanguageModel, corpus: Corpus) -> float:
    return float(evaluate(model, cross_entropy, corpus.held_out, carry=True)["loss"] / math.log(2))
