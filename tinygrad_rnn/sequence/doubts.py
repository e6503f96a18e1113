"""What could make a trace differ from a step though nobody sees it happen; it is read off the code and off
the tensors, and refused.

A placeholder is no tensor of a step in all that it tells besides its value: which object it is, who made it,
whether it wants a residual, what it is called. And some names lead to what no code that is reached holds:
another module, another thread, the children of a generator.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Sequence
from typing import Any

from ..errors import TraceError
from ..reading.closure import Closure
from ..reading.steady import steady_file
from ..reading.stores import operations

_NOT_FOLLOWED = frozenset(
    ["spawn", "import_module", "__import__", "_getframe", "currentframe", "get_objects", "get_referrers",
     "getrefcount", "current_thread", "get_ident", "get_native_id", "setprofile", "settrace"]
)  # fmt: skip
"""Names in code that lead where reading does not."""

_OF_A_STEP = frozenset(["requires_grad", "entry"])
"""Attributes of tensors that placeholders have otherwise."""

_CONSTANTS = ("None", "True", "False", "Ellipsis")


def asked_of_tensors(closure: Closure) -> frozenset[str]:
    """What the code may ask of a state besides its value: "identity", "name", "grad".

    Raises:
        TraceError: it names what must not even run; says what.
    """
    codes = [code for code in closure.codes if not steady_file(code.co_filename)]
    named = {name for code in codes for name in code.co_names}
    if closure.every:  # getattr(h, "name")
        named.update(text for code in codes for text in code.co_consts if type(text) is str)
    for name in sorted(_NOT_FOLLOWED & named):
        raise TraceError(f"the cell names {name}, which leads where it cannot be followed")
    attributes = {part for part in closure.parts if type(part) is str}
    for name in sorted((_OF_A_STEP & named) - attributes):
        raise TraceError(f"the cell asks for {name}: that of a tensor may differ from step to step")
    asked = named & {"name", "grad"}
    return frozenset(asked | {"identity"}) if any(map(_compares_objects, codes)) else frozenset(asked)


def refuse_first(asked: frozenset[str], closure: Closure, first: Sequence[Any]) -> None:
    """Refuse a first state that tells what later ones do not.

    Args:
        first: the tensors of the state before the first step.

    Raises:
        TraceError: says what.
    """
    if "identity" in asked and not {id(x) for x in closure.tensors}.isdisjoint(map(id, first)):
        raise TraceError(
            "the cell holds its first state and asks whether another object is the same: that differs from "
            "step to step"
        )
    if "name" in asked and any(x.name is not None for x in first):
        raise TraceError("the cell asks for a name, and only its first state has that one")
    if "grad" in asked and any(x._grad is not None for x in first):
        raise TraceError("the cell asks for a gradient, and only its first state has one")


@functools.lru_cache(maxsize=4096)
def _compares_objects(code: types.CodeType) -> bool:
    """Whether code asks if two objects are the same, or if one is in a container."""
    steps = operations(code)
    for i, (operation, _) in enumerate(steps):
        if operation == "CONTAINS_OP":
            return True
        if operation == "IS_OP" and not any(
            name == "LOAD_CONST" and value in _CONSTANTS for name, value in steps[max(0, i - 2) : i]
        ):
            return True
    return False
