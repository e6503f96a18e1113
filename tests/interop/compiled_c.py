"""Written C files, compiled and run under sanitisers, as strictly as compilers can be."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, tree

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITISED = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all", "-O1"]

_MAIN = """\
#include <stdio.h>
#define MODEL_DECLARATIONS_ONLY
#include "model.c"
#include "model.c" /* twice does no harm */

int main(void) {{
  static model_state state;
  {arrays}
  int bad = 0;
  model_reset(&state);
  while ({read}) {{
    if (model_step(&state, {names})) bad++;
    {write}
  }}
  fwrite(&state, sizeof state, 1, stdout);
  return bad ? 3 : 0;
}}
"""


def strictly(source: Path, *options: str, compiler: str = "gcc", standard: str = "c99") -> None:
    """Compile a file and see that nothing is told."""
    command = [compiler, f"-std={standard}", *STRICT, "-O2", *options, "-c", str(source), "-o", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def program(folder: Path) -> Path:
    """``model.c`` in a folder as a program that reads the inputs of steps, and writes outputs, then the
    state."""
    text = (folder / "model.c").read_text(encoding="ascii")
    head = re.search(r"^int model_step\(model_state \*state, (.*)\);", text, re.MULTILINE)
    assert head is not None
    leaves = [re.fullmatch(r"(?:const )?([\w ]+) \*(\w+)", leaf).groups() for leaf in head[1].split(", ")]
    sizes = dict(re.findall(r"^#define MODEL_(\w+)_SIZE (\d+)$", text, re.MULTILINE))
    count = {name: sizes[name.replace("x", "INPUT").replace("y", "OUTPUT")] for _, name in leaves}
    reads = [f"fread({n}, sizeof *{n}, {count[n]}, stdin) == {count[n]}" for _, n in leaves if n[0] == "x"]
    writes = [f"fwrite({n}, sizeof *{n}, {count[n]}, stdout);" for _, n in leaves if n[0] == "y"]
    (folder / "main.c").write_text(
        _MAIN.format(
            arrays=" ".join(f"static {type_} {n}[{count[n]}];" for type_, n in leaves),
            read=" && ".join(reads),
            names=", ".join(n for _, n in leaves),
            write=" ".join(writes),
        )
    )
    command = ["gcc", "-std=c99", *STRICT, *SANITISED, "main.c", "model.c", "-lm", "-o", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "program"


def run(
    folder: Path, xs: Sequence[Any], like: Any, status: int = 0, state: Sequence[Any] = ()
) -> list[np.ndarray]:
    """The outputs of a program's steps, each leaf (T, …), and the last state.

    Args:
        xs: arrays (T, …), as the step takes them.
        like: of one step, arrays like its outputs.
        state: arrays like those of a state, if it is asked for.
    """
    steps = len(xs[0])
    given = b"".join(np.ascontiguousarray(x[t]).tobytes() for t in range(steps) for x in xs)
    done = subprocess.run([str(program(folder))], input=given, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (status, b"")
    kind = np.dtype([(f"y{i}", y.dtype, y.shape) for i, y in enumerate(like)])
    made = np.ndarray(steps, kind, done.stdout)
    outputs = [made[name] for name in kind.names or ()]
    if not state:
        return outputs
    struct = np.dtype([(f"s{i}", s.dtype, s.shape) for i, s in enumerate(state)], align=True)
    last = np.ndarray((), struct, done.stdout, kind.itemsize * steps)
    return [*outputs, *(last[name] for name in struct.names or ())]


def stepper_of(model: Any, state: Any = None) -> Any:
    return model.stepper(state) if hasattr(model, "stepper") else nn.Recurrent(model).stepper(state)


def steps_of(model: Any, xs: Any, state: Any = None) -> list[np.ndarray]:
    """The outputs of the library's stepper, each leaf (T, …), and the last state as cells have it."""
    stepper = stepper_of(model, state)
    ys = [
        tree.leaves(stepper(tree.map_leaves(lambda x: x[t], xs)))  # noqa: B023
        for t in range(len(tree.leaves(xs)[0]))
    ]
    last = tree.leaves(stepper.before(xs))
    return [
        *(np.stack([y.numpy() for y in one]) for one in zip(*ys, strict=True)),
        *(s.numpy() for s in last),
    ]


def exported(folder: Path, model: Any, xs: Any, state: Any = None, **options: Any) -> list[np.ndarray]:
    """Written, compiled and run: the outputs of all steps, and the last state; inputs (T, …)."""
    one = tree.map_leaves(lambda x: x[0], xs)
    tg.interop.c.export(model, folder / "model.c", one, state, **options)
    stepper = stepper_of(model, state)
    ys, last = tree.leaves(stepper(one)), tree.leaves(stepper.before(one))
    given = [x.numpy() for x in tree.leaves(xs)]
    return run(folder, given, [y.numpy() for y in ys], state=[s.numpy() for s in last])


def difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference, relative to the largest number of what is expected."""
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        scale = np.abs(b[np.isfinite(b)]).max(initial=0.0) or 1.0
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        with np.errstate(invalid="ignore"):
            apart = np.where(np.isfinite(b), np.abs(a.astype(np.float64) - b), 0)
        worst = max(worst, float(apart.max(initial=0.0) / scale))
    return worst


GROWS = 10
"""Where rounding grows, so do differences between two ways to round: as far as either is from the truth, by a
factor that chance decides."""


def as_exact_as(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray], exact: Sequence[np.ndarray]
) -> None:
    """See that a program and the library differ by 1e-6 at most; where a network lets differences grow, as
    the library's own from float64 do."""
    apart = max(1e-6, GROWS * difference(expected, exact))
    assert difference(found, expected) < apart
    assert difference(found, exact) < apart
