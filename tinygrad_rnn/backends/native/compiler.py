"""From LLVM text to machine code: optimised for this processor, linked in memory, kept on disk for the next process.

The text holds no sizes, so layers of one structure share one piece of code, whatever their sizes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any


@functools.cache
def _target() -> tuple[Any, Any]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    return llvm, machine


@functools.cache
def available() -> bool:
    """Whether there is an llvmlite with LLVM's present pass manager, 0.45 or newer."""
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return False
    return hasattr(llvm, "create_pass_builder")


def _optimised(text: str) -> Any:
    llvm, machine = _target()
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def assembly(text: str) -> str:
    """What the processor will run, to be read."""
    return str(_target()[1].emit_assembly(_optimised(text)))


def cache_folder() -> Path:
    """Where compiled code is kept: ``TINYGRAD_RNN_CACHE``, or a folder of the user's cache. It can be moved and deleted at any time."""
    chosen = os.environ.get("TINYGRAD_RNN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygrad_rnn"


def _kept_code(path: Path) -> bytes | None:
    """The code in a cache entry; None where there is none, or it is damaged or of another kind."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[8:]
    return code if content[:8] == _seal(code) else None


def _seal(code: bytes) -> bytes:
    return b"tgr1" + zlib.crc32(code).to_bytes(4, "little")


def _keep(path: Path, code: bytes) -> None:
    """Write a cache entry in one piece, so that two processes may do so at once; a cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_seal(code) + code)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise


_engines: list[Any] = []


@functools.cache
def compiled(text: str, names: tuple[str, ...]) -> dict[str, int]:
    """The addresses of functions of a text: compiled, or taken from the cache."""
    llvm, machine = _target()
    salt = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()} {llvm.llvm_version_info}"
    name = hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()
    path = cache_folder() / f"{name}.o"
    code = _kept_code(path)
    if code is None:
        code = bytes(machine.emit_object(_optimised(text)))
        _keep(path, code)
    empty = llvm.parse_assembly("")
    engine = llvm.create_mcjit_compiler(empty, llvm.Target.from_default_triple().create_target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)  # the code lives as long as its engine; two threads may have made one each
    return {function: engine.get_function_address(function) for function in names}


@functools.cache
def vector_bytes() -> int:
    """The width of the processor's vectors."""
    features = _target()[0].get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16
