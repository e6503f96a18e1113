"""What the first call costs: compiled for the first time, from the cache in a new process, and a second layer
of another size. And what importing the library costs beside NumPy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

import tinygrad_rnn as tg

from . import timing

KINDS = ("LSTM", "PeepholeLSTM", "GRU")
SIZES = {"first": (32, 16, 32, 32), "resized": (40, 8, 24, 48)}
LIMITS = {"compiled": 3.0, "from the cache": 0.3, "then another size": 1.0}
IMPORT_LIMIT = 0.5


def first_call(kind: str, size: tuple[int, ...]) -> float:
    """Seconds of the first forward and backward pass of a new layer."""
    steps, batch, inputs, hidden = size
    layer = getattr(tg.nn, kind)(inputs, hidden)
    x = tg.tensor(np.random.default_rng(0).standard_normal((steps, batch, inputs)).astype(np.float32))
    start = time.perf_counter()
    y, _ = layer(x)
    tg.sum(y * y).backward()
    return time.perf_counter() - start


def measure_here(kind: str) -> dict[str, float]:
    return {name: first_call(kind, size) for name, size in SIZES.items()}


def measure(kind: str, folder: str) -> dict[str, float]:
    """The same in a fresh process with this cache folder."""
    command = [sys.executable, "-m", "benchmarks.latency", kind]
    environment = os.environ | {"TINYGRAD_RNN_CACHE": folder}
    return json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    )


def importing() -> float:
    """The time that the library takes to import, where NumPy is, over that of NumPy; the least of seven."""
    program = (
        "from time import perf_counter as now; a = now(); import numpy; b = now(); import tinygrad_rnn; "
        "c = now(); print((c - b) / (b - a))"
    )
    with tempfile.TemporaryDirectory() as folder:  # as installed: with bytecode
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        command = [sys.executable, "-c", program]
        found = [subprocess.check_output(command, text=True, env=environment) for _ in range(8)]
    return min(float(ratio) for ratio in found[1:])  # the first writes the bytecode


def main() -> None:
    print(f"the first forward + backward of a layer in a new process, seconds (limit)\n{timing.machine()}")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = {"compiled": measure(kind, folder), "from the cache": measure(kind, folder)}
        seconds = {name: times["first"] for name, times in found.items()} | {
            "then another size": found["compiled"]["resized"]
        }
        for name, taken in seconds.items():
            print(
                f"  {kind:<14}{name:<20}{taken:7.3f}  "
                f"({LIMITS[name]}{'' if taken <= LIMITS[name] else ', missed'})"
            )
    ratio = importing()
    print(
        f"importing, over NumPy's: {ratio:.2f} ({IMPORT_LIMIT}{'' if ratio <= IMPORT_LIMIT else ', missed'})"
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure_here(sys.argv[1])))
    else:
        main()
