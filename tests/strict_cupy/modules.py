"""The stand-in as what ``import cupy`` finds."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import numpy
import pytest

from tests.strict_cupy.array import ndarray
from tests.strict_cupy.functions import checked, erf, errstate, named, ufunc
from tests.strict_cupy.kernels import RawKernel
from tests.strict_cupy.numbers import CUPYS
from tests.strict_cupy.surface import ANSWERS, SIGNATURES, UFUNCS


def _answered(answer: Any, *device: int) -> Any:
    return answer


def _content() -> dict[str, dict[str, Any]]:
    """What is in the stand-in's modules, by their names."""
    rooms: dict[str, dict[str, Any]] = {
        name: {} for name in ("cupy", "cupy.linalg", "cupy.cuda", "cupyx", "cupyx.scipy")
    }
    for name in UFUNCS:
        rooms["cupy"][name] = ufunc(name, CUPYS.get(name, getattr(numpy, name)), getattr(numpy, name).nin)
    for name in SIGNATURES:
        room, _, last = f"cupy.{name}".rpartition(".")
        rooms[room][last] = checked(name, named(name))
    rooms["cupy"] |= {"ndarray": ndarray, "ufunc": ufunc, "RawKernel": RawKernel, "__version__": "14.2.0"}
    rooms["cupy"]["get_default_memory_pool"] = lambda: types.SimpleNamespace(total_bytes=lambda: 0)
    for room, answers in ANSWERS.items():
        rooms[room] = {name: functools.partial(_answered, answer) for name, answer in answers.items()}
    rooms["cupyx"]["errstate"] = errstate
    rooms["cupyx.scipy.special"] = {"erf": ufunc("erf", erf, 1)}
    return rooms


_CONTENT = _content()


def modules() -> dict[str, types.ModuleType]:
    """The stand-in's modules by name, new ones; what is in them is always the same, for it is installed for
    thousands of tests."""
    made = {name: types.ModuleType(name) for name in _CONTENT}
    for name, module in made.items():
        vars(module).update(_CONTENT[name])
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(made[parent], last, module)
    return made


def install(patch: pytest.MonkeyPatch) -> None:
    """Let ``import cupy`` find the stand-in."""
    for name, module in modules().items():
        patch.setitem(sys.modules, name, module)
