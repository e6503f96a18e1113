"""Machine code for other systems and lesser processors than this one: it compiles, calls nothing that may not
be there, and its text computes the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.native import foreign
from tinygrad_rnn.backends.native import compiler, handover

pytestmark = pytest.mark.machine_code

ELF, MACH_O, COFF = "7f454c46", "cffaedfe", "6486"
TARGETS = {
    "SSE2": ("x86_64-unknown-linux-gnu", "x86-64", ELF),
    "macOS": ("aarch64-apple-darwin", "apple-m1", MACH_O),
    "Windows": ("x86_64-pc-windows-msvc", "x86-64", COFF),
    "Windows, as run": ("x86_64-pc-windows-msvc-elf", "x86-64", ELF),
    "macOS, as it calls itself": ("arm64-apple-darwin23.6.0", "apple-m1", MACH_O),
    "Linux on ARM": ("aarch64-unknown-linux-gnu", "generic", ELF),
}
"""Triple, processor and what an object file begins with. llvmlite runs ELF on Windows too."""

VECTORS = {"x86_64": r"\bmulp[sd]\b.*%xmm", "a": r"\bfmla(\.4s|\.2d|\s+v\d+\.(4s|2d))"}
TOO_NEW = r"%[yz]mm|\bv(mul|add|fmadd)\w*[ps][sd]\b"
UNREADABLE = r"(?i)pmccntr"
"""ARM's counter of cycles, which ends a process that reads it: systems keep it for themselves."""


def compiled(target, dtype, cells, folder):
    triple, processor, _ = TARGETS[target]
    done = subprocess.run(
        [sys.executable, foreign.__file__, triple, processor, dtype, *cells],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"TINYGRAD_RNN_CACHE": str(folder), "PYTHONPATH": str(Path(compiler.__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def holds(target, dtype, cells, folder):
    triple, _, format_ = TARGETS[target]
    found = compiled(target, dtype, cells, folder)
    assert set(found["cells"]) == set(cells)
    for name, facts in found["cells"].items():
        assert facts["error"] <= facts["tolerance"] <= 2e-5, name
        assert facts["explain"].endswith(": machine code"), name
    objects = [*found["objects"], found["hand-over"]]
    assert {"run", "start", "join", "serve", "stop", "ticks"} <= set(found["hand-over"]["functions"])
    assert sum("forward" in each["functions"] for each in objects) == len(cells)
    for each in objects:
        assert each["format"].startswith(format_)
        assert each["calls"] == []
        assert not re.search(TOO_NEW, each["assembly"])
        assert not re.search(UNREADABLE, each["assembly"])
        if "forward" in each["functions"]:
            assert re.search(VECTORS["x86_64" if triple.startswith("x86") else "a"], each["assembly"])


@pytest.mark.parametrize("target", [*TARGETS][:3])
def test_a_cell_and_the_hand_over(target, tmp_path):
    holds(target, "float32", ["lstm"], tmp_path)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
def test_more_cells(target, dtype, tmp_path):
    holds(
        target, dtype, ["rnn_tanh", "gru_before", "peephole", "layer_norm", "functions", "choices"], tmp_path
    )


def test_what_is_called_from_outside_is_found():
    """As a plain x86-64 does where it is not told how to do without."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    text = """
define float @f(float %a, float %b) {
  %x = call float @llvm.fma.f32(float %a, float %a, float %b)
  %y = call float @llvm.floor.f32(float %x)
  ret float %y
}
declare float @llvm.fma.f32(float, float, float)
declare float @llvm.floor.f32(float)
"""
    for triple, processor, format_ in TARGETS.values():
        machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)
        found = foreign.compiled_there(text, machine)
        assert found["format"].startswith(format_)
        assert found["calls"] == (["floorf", "fmaf"] if triple.startswith("x86") else [])


@pytest.mark.parametrize("family", ["x86_64", "aarch64", "arm64", "riscv64"])
def test_who_waits_rests_as_its_processor_can(family, monkeypatch):
    monkeypatch.setattr(compiler, "processor", lambda: compiler.Processor(f"{family}-unknown-linux", "", ""))
    rests = {"x86_64": "llvm.x86.sse2.pause()", "riscv64": None}.get(family, "llvm.aarch64.hint(i32 1)")
    found = re.findall(r"call void @(llvm\.(?:x86|aarch64).*)", handover.text())
    assert found == ([] if rests is None else [rests])
