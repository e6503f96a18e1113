"""Kernels in CUDA C, compiled as C, and run block by block and thread by thread."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.strict_cupy.array import ndarray
from tests.strict_cupy.counts import counts

_DEVICE = r"""
#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct { unsigned x, y, z; } dim3;
static dim3 threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __launch_bounds__(threads)
#define __device__ static
#define __shared__ static

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline int __float_as_int(float x) { int y; memcpy(&y, &x, sizeof y); return y; }
static inline float __int_as_float(int x) { float y; memcpy(&y, &x, sizeof y); return y; }
static inline long long __double_as_longlong(double x) { long long y; memcpy(&y, &x, sizeof y); return y; }
static inline double __longlong_as_double(long long x) { double y; memcpy(&y, &x, sizeof y); return y; }
"""


_BARRIER = r"""
#include <ucontext.h>

static ucontext_t scheduler, threads[1024];
static char stacks[1024][32768], finished[1024];
static unsigned turn;
static inline void __syncthreads(void) { swapcontext(&threads[turn], &scheduler); }
"""


_THREAD = r"""
static void **values;
static void thread(void) { KERNEL(ARGUMENTS); }
static void become(unsigned i) {
  threadIdx = (dim3){i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
}
"""


_ONE_BY_ONE = r"""
static int run(unsigned size) {
  for (unsigned i = size; i-- > 0;) {
    become(i);
    thread();
  }
  return 0;
}
"""
"""A block whose threads do not wait for each other: a twentieth of the time of taking turns."""


_IN_TURNS = r"""
#define FEW 5
static void start(void) { thread(); finished[turn] = 1; }

/* The threads of a block take turns on one processor: each runs until a barrier. There are a few at most:
   kernels with barriers go round their loops by blockDim, with any number of threads. */
static int run(unsigned size) {
  size = size < FEW ? size : FEW;
  blockDim = (dim3){size, 1, 1};
  for (unsigned i = 0; i < size; i++) {
    finished[i] = 0;
    getcontext(&threads[i]);
    threads[i].uc_stack.ss_sp = stacks[i];
    threads[i].uc_stack.ss_size = sizeof stacks[i];
    threads[i].uc_link = &scheduler;
    makecontext(&threads[i], start, 0);
  }
  for (unsigned round = 0, ended = 0; ended < size; round++) {
    if (ended) return 1;
    for (unsigned i = 0; i < size; i++) {
      turn = round % 2 ? i : size - 1 - i;  /* no order may be counted on */
      become(turn);
      swapcontext(&scheduler, &threads[turn]);
      ended += finished[turn];
    }
  }
  return 0;
}
"""


_LAUNCH = r"""
/* 1 if some threads of a block wait at a barrier and others have ended. */
int launch(unsigned *grid, unsigned *block, void **arguments) {
  values = arguments;
  gridDim = (dim3){grid[0], grid[1], grid[2]};
  blockDim = (dim3){block[0], block[1], block[2]};
  for (unsigned b = 0; b < grid[0] * grid[1] * grid[2]; b++) {
    blockIdx = (dim3){b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
    if (run(block[0] * block[1] * block[2])) return 1;
  }
  return 0;
}
"""


_REGISTERS, _REGISTERS_OF_A_THREAD = 65536, 255
"""What a block has, and what the compiler may give a thread where it does not know how many there are."""


@functools.cache
def _compiled(code: str, name: str, kinds: tuple[str, ...]) -> Any:
    """The kernel as a function of the host, for arguments of these kinds."""
    if shutil.which("cc") is None:
        pytest.skip("kernels are run by compiling them as C, and there is no C compiler 'cc' here")
    arguments = ", ".join(f"*({kind} *)values[{i}]" for i, kind in enumerate(kinds))
    thread = _THREAD.replace("KERNEL", name).replace("ARGUMENTS", arguments)
    code = code.replace('extern "C" ', "")
    parts = [_BARRIER, code, thread, _IN_TURNS] if "__syncthreads" in code else [code, thread, _ONE_BY_ONE]
    text = "".join([_DEVICE, *parts, _LAUNCH])
    options = ["-O1", "-Wall", "-Wno-unused-variable", "-Werror", "-shared", "-fPIC"]
    library = (
        RawKernel.libraries
        / f"{hashlib.sha256(' '.join([platform.machine(), *options, text]).encode()).hexdigest()}.so"
    )
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=RawKernel.libraries) as folder:
            source, new = Path(folder, "kernel.c"), Path(folder, "kernel.so")
            source.write_text(text)
            done = subprocess.run(
                ["cc", *options, str(source), "-o", str(new), "-lm"], capture_output=True, text=True
            )
            assert done.returncode == 0, f"{done.stderr}\n{code}"
            new.replace(library)
    return ctypes.PyDLL(str(library)).launch  # one thread of Python at a time


class RawKernel:
    """A kernel in CUDA C, compiled as C at its first launch. Arguments are laid down as CuPy does: Python's
    whole numbers have 64 bits."""

    libraries: Path
    """The folder where what is compiled stays, for all processes and later runs; ``conftest.py`` names it."""

    def __init__(
        self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc", *,
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
    ) -> None:  # fmt: skip
        self.code, self.name = code, name
        bounds = re.search(rf"__launch_bounds__\((\d+)\) {name}\(", code)
        self.most = int(bounds[1]) if bounds else _REGISTERS // _REGISTERS_OF_A_THREAD

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0
    ) -> None:
        grid, block = ((*size, 1, 1)[:3] for size in (grid, block))
        if min(*grid, *block) < 1 or max(grid[1:]) > 65535 or math.prod(block) > 1024:
            raise ValueError(f"CUDA_ERROR_INVALID_VALUE: invalid argument: {grid} blocks of {block} threads")
        if math.prod(block) > self.most:
            raise RuntimeError(
                f"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: {block} threads, and a thread of {self.most} has "
                "more registers"
            )
        kinds, values = zip(*map(_argument, args), strict=True)
        launch = _compiled(self.code, self.name, kinds)
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        counts.launches += 1
        addresses = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        assert launch(*sizes, addresses) == 0, f"{self.name}: a barrier that not all threads of a block reach"


def _argument(x: Any) -> tuple[str, Any]:
    if isinstance(x, ndarray):
        return "void *", ctypes.c_void_p(x._host.ctypes.data)
    if type(x) is int:
        return "long long", ctypes.c_longlong(x)
    if type(x) is float:
        return "double", ctypes.c_double(x)
    raise TypeError(f"Unsupported type {type(x)}")
