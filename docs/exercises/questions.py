"""All exercises by number, and the stub that a student begins with."""

from __future__ import annotations

import ast
from pathlib import Path

from . import cases, cells, through_time
from .exercise import Exercise

SOLUTIONS = Path(__file__).parent / "solutions"

EXERCISES: dict[str, Exercise] = {
    "1": cases.COMPOSITION,
    "2": cases.ADDITION,
    "3": cases.WEIGHTING,
    "4": cases.TAPE,
    "5": through_time.RNN,
    "6": through_time.JACOBIAN,
    "7": cells.LSTM,
    "8a": cells.PEEPHOLE,
    "8b": cells.GRU,
    "9": through_time.SECOND,
}


def stub(number: str | int) -> str:
    """The solution's imports, signature and docstring, without its body: one text says what is asked."""
    exercise = EXERCISES[str(number)]
    text = (SOLUTIONS / exercise.file).read_text(encoding="utf-8")
    function = asked(exercise)
    docstring = function.body[0]
    kept = "\n".join(text.splitlines()[: docstring.end_lineno])
    answer = ", ".join(f'"{name}": ...' for name in exercise.wanted)
    return f"{kept}\n    return {{{answer}}}\n"


def asked(exercise: Exercise) -> ast.FunctionDef:
    """The function that an exercise asks for: the only one of its solution."""
    tree = ast.parse((SOLUTIONS / exercise.file).read_text(encoding="utf-8"))
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return function
