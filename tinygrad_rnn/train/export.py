"""``tinygrad-rnn export``: a trained character model as a C file."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import Any

from ..errors import CheckpointError, DataError
from ..interop import c
from ..interop.c_file import identifier
from ..nn import Module
from ..ops import zeros
from . import snapshot
from .config import option
from .model import CharacterModel
from .output import say


def add(commands: Any) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "export",
        help="write a trained model as a C file",
        description="Write a trained model as one C99 file, which needs neither Python nor a library.",
    )
    parser.set_defaults(command=_export)
    parser.add_argument("run", metavar="RUN", help="the folder of a run, or a checkpoint of one")
    parser.add_argument("file", metavar="FILE", help="where to, such as model.c")
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
    parser.add_argument("--text", metavar="FILE", help="where the text of the run lies now, if it was moved")


def _export(arguments: argparse.Namespace) -> int:
    model, vocabulary = snapshot.load_model(arguments.run)
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
    return say(_losses(arguments.run, model, arguments.text))


def _losses(run: str, model: CharacterModel, text: str | None) -> str:
    """What the model loses on the held-out text with either kind of weights, in words."""
    folder = run if os.path.isdir(run) else os.path.dirname(run)
    changes = {} if text is None else {"text": os.path.abspath(text)}
    try:
        trainer = snapshot.resume(folder, changes)
    except (CheckpointError, DataError) as reason:
        return (
            f"held-out text: not measured: {reason}; give the text of the run, --text {shlex.quote('FILE')}"
        )
    trainer.model.load_state_dict(model.state_dict())
    exact = trainer.evaluate()
    use_whole_numbers(trainer.model)
    return (
        f"held-out text: {exact:.4f} bits per character with float32 weights, {trainer.evaluate():.4f} with "
        "int8 weights"
    )


def use_whole_numbers(model: Module) -> None:
    """Round the weights of a model as a file with int8 weights has them."""
    model.load_state_dict({name: c.dequantised(value) for name, value in model.state_dict().items()})
