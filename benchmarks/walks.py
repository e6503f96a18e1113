"""How far it is from a public call to the arrays: the functions of the library that are entered on the way.

calls       functions entered, one after another
functions   different ones among them
stays       visits of a room, which is a folder or a file at the top of the package; calls in one room,
            one after another, are one visit
rooms       different ones among them
climbs      calls from a room to one on a higher floor, as tests/architecture/source.py has the floors
returns     visits of a room where the way has been before
names       different names that the parameters of these functions have

Each way is walked by a second call, which finds what the first one compiled. Another version of the library
is measured by this file alone: ``PYTHONPATH=CHECKOUT python benchmarks/walks.py``.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg

PACKAGE = Path(tg.__file__).parent
STEPS, SAMPLES, INPUTS, UNITS = 3, 2, 3, 4


class Walk(NamedTuple):
    calls: int
    functions: int
    stays: int
    rooms: int
    climbs: int
    returns: int
    names: int


def floors() -> dict[str, int]:
    """The floor of each room."""
    text = (PACKAGE.parent / "tests" / "architecture" / "source.py").read_text(encoding="utf-8")
    listed = next(
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FLOORS" and node.value is not None
    )
    return {room: floor for floor, rooms in enumerate(ast.literal_eval(listed)) for room in rooms}


@functools.cache
def room_of(code: CodeType) -> str | None:
    """The room of a function, "" for the package itself; None if it is not the library's, or no function but
    a part of one."""
    path = Path(code.co_filename)
    if not path.is_relative_to(PACKAGE) or code.co_name.startswith(
        ("<listcomp", "<genexpr", "<dictcomp", "<setcomp")
    ):
        return None
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").removesuffix("__init__")


def name_of(code: CodeType) -> str:
    """A function by its file and name, as "tape/record.py:apply"."""
    name = getattr(code, "co_qualname", code.co_name)  # of a class too, since Python 3.11
    return f"{Path(code.co_filename).relative_to(PACKAGE).as_posix()}:{name}"


def calls_of(way: Callable[[], Any]) -> list[tuple[CodeType | None, CodeType]]:
    """The functions entered on a way, in order, and who called each."""
    found: list[tuple[CodeType | None, CodeType]] = []
    begun: set[FrameType] = set()  # generators, which are entered again for each of their values

    def look(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event != "call" or room_of(code) is None or frame in begun:
            return
        if code.co_flags & inspect.CO_GENERATOR:
            begun.add(frame)
        caller = frame.f_back
        while caller is not None and room_of(caller.f_code) is None:
            caller = caller.f_back
        found.append((None if caller is None else caller.f_code, code))

    sys.setprofile(look)
    try:
        way()
    finally:
        sys.setprofile(None)
    return found


def outline(way: Callable[[], Any]) -> str:
    """The functions entered on a way, each below the one that called it."""
    lines, callers = [], list[CodeType]()
    for caller, code in calls_of(way):
        while callers and callers[-1] is not caller:
            callers.pop()
        lines.append("  " * len(callers) + name_of(code))
        callers.append(code)
    return "\n".join(lines)


def walked(way: Callable[[], Any]) -> Walk:
    floor_of = floors()
    way()
    calls = calls_of(way)
    rooms = [str(room_of(code)) for _, code in calls]
    stays = [room for i, room in enumerate(rooms) if i == 0 or room != rooms[i - 1]]
    climbs = [
        code for caller, code in calls
        if caller is not None and floor_of[str(room_of(caller))] < floor_of[str(room_of(code))]
    ]  # fmt: skip
    names = {
        name
        for _, code in calls
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if name != "self"
    }
    return Walk(
        len(calls),
        len({code for _, code in calls}),
        len(stays),
        len(set(stays)),
        len(climbs),
        len(stays) - len(set(stays)),
        len(names),
    )


def ways() -> dict[str, Callable[[], Any]]:
    """One tanh, its backward pass, a cell through a scan and back, a picture and a flow of that scan."""
    rng = np.random.default_rng(0)

    def leaf(*shape: int) -> Any:
        return tg.tensor(rng.normal(size=shape), requires_grad=True)

    W, U, x, h = leaf(INPUTS, UNITS), leaf(UNITS, UNITS), leaf(STEPS, SAMPLES, INPUTS), leaf(SAMPLES, UNITS)

    def cell(x: Any, h: Any) -> Any:
        h = tg.tanh(x @ W + h @ U)
        return h, h

    tanh, scan, draw, flow = tg.tanh, tg.scan, tg.draw, tg.flow
    g = np.ones(h.shape)
    tanhs, lasts = [tanh(h) for _ in range(2)], [scan(cell, x, h)[1] for _ in range(2)]
    loss = tg.sum(scan(cell, x, h)[0][-1])
    return {
        "tanh": lambda: tanh(h),
        "backward": lambda: tanhs.pop().backward(g),
        "scan": lambda: scan(cell, x, h),
        "scan, backward": lambda: lasts.pop().backward(g),
        "draw": lambda: draw(loss, gains=True),
        "flow": lambda: flow(loss).verdict(),
    }


def main() -> None:
    print(
        f"walks: from the public call to the arrays\n  {'':<16}"
        + "".join(f"{name:>11}" for name in Walk._fields)
    )
    for name, way in ways().items():
        print(f"  {name:<16}" + "".join(f"{number:>11,}" for number in walked(way)))


if __name__ == "__main__":
    main()
