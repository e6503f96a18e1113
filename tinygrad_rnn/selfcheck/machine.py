"""What took part: names, versions, memory."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
from typing import Any

from .. import backends
from ..backends import cupy_backend

PACKAGES = ("numpy", "llvmlite", "torch")


def facts(backend: str) -> dict[str, Any]:
    """Facts of the machine, and of the device if the backend has one.

    Raises:
        BackendError: there is no such backend here.
    """
    backends.get(backend)
    told = {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }
    return {**told, **_device()} if backend == "cupy" else told


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> dict[str, Any]:
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    device = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "device": device["name"].decode(),
        "compute_capability": f"{device['major']}.{device['minor']}",
        "cupy": cupy.__version__,
        "cupy_packages": cupy_backend.packages(),
        "cuda_driver": runtime.driverGetVersion(),
        "cuda_runtime": runtime.runtimeGetVersion(),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
    }


def memory(backend: str) -> dict[str, Any]:
    """Bytes in use, to be asked at the end."""
    if backend == "cupy":
        cupy = importlib.import_module("cupy")
        free, total = cupy.cuda.runtime.memGetInfo()
        return {
            "device_memory": total,
            "device_memory_free": free,
            "device_memory_taken": cupy.get_default_memory_pool().total_bytes(),
        }
    if sys.platform == "win32":
        return {}
    resource = importlib.import_module("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"memory_at_most": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
