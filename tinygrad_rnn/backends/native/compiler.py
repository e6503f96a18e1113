"""From LLVM text to machine code: optimised for this processor, linked in memory, kept for the next process
by ``code_cache``.

The text of a step holds the sizes of its values, but not the number of steps; that of products over all steps
holds no sizes.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any, NamedTuple

from ...caches import recent
from . import code_cache

_RECIPE = "2"
"""To be raised when the same text is turned into code in another way."""


class Processor(NamedTuple):
    """What code is written and compiled for: LLVM's names of the system and of the processor, and what that
    has and has not ("+avx2,-avx512f")."""

    triple: str
    name: str
    features: str

    @property
    def family(self) -> str:
        name = self.triple.partition("-")[0]
        return {"x86_64": "x86", "i686": "x86", "i386": "x86", "arm64": "aarch64"}.get(name, name)

    def has(self, feature: str) -> bool:
        return f"+{feature}" in self.features.split(",")


@functools.cache
def processor() -> Processor:
    """The one that this process runs on."""
    import llvmlite.binding as llvm

    return Processor(
        llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    )


@functools.cache
def _target() -> tuple[Any, Any]:
    import llvmlite.binding as llvm  # an extra

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, name, features = processor()
    target = llvm.Target.from_triple(triple)
    return llvm, target.create_target_machine(cpu=name, features=features, opt=3)


@functools.cache
def available() -> bool:
    """Whether there is an llvmlite with LLVM's present pass manager, 0.45 or newer."""
    try:
        import llvmlite.binding as llvm  # an extra
    except ImportError:
        return False
    return hasattr(llvm, "create_pass_builder")


@functools.cache
def has(feature: str) -> bool:
    """Whether the processor has what some of the x86 family lack: "fma", "sse4.1". Where nothing is compiled,
    it may be anything."""
    if not available():
        return True
    return processor().family != "x86" or processor().has(feature)


def _optimised(text: str, machine: Any = None) -> Any:
    """The module of a text, for this processor or another."""
    llvm, machine = _target()[0], machine or _target()[1]
    module = llvm.parse_assembly(text, llvm.create_context())  # what the text names goes with the module
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    # 0.1 MB that llvmlite forgets to free: its class inherits a _dispose that does nothing before the one
    # that does
    llvm.newpassmanagers.NewPassManager._dispose(passes)
    passes.detach()
    return module


def assembly(text: str) -> str:
    """What the processor will run, to be read."""
    return str(_target()[1].emit_assembly(_optimised(text)))


class Address(int):
    """Where a function of machine code begins. Whoever holds it holds the code, which is freed with the last
    of them.

    Attributes:
        engine: LLVM's owner of the code.
    """

    engine: Any


_codes = recent(512)
"""The functions of a text, by its digest."""


def compiled(text: str, names: tuple[str, ...]) -> dict[str, Address]:
    """The addresses of functions of a text: compiled, or taken from the cache."""
    llvm, machine = _target()
    source = f"{_RECIPE}\n{' '.join(processor())}\n{llvm.llvm_version_info}\n{text}"
    name = hashlib.sha256(source.encode()).hexdigest()
    addresses: dict[str, Address] | None = _codes.get((name, names))
    if addresses is None:
        code = code_cache.load(name)
        if code is None:
            code = bytes(machine.emit_object(_optimised(text)))
            code_cache.keep(name, code)
        addresses = _codes.share((name, names), _addresses(code, names))  # two threads may have made one each
    return addresses


def _addresses(code: bytes, names: tuple[str, ...]) -> dict[str, Address]:
    """The addresses of functions of an object file, which is loaded into executable memory."""
    llvm, _ = _target()
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), llvm.Target.from_default_triple().create_target_machine()
    )
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    addresses = {name: Address(engine.get_function_address(name)) for name in names}
    for address in addresses.values():
        address.engine = engine
    return addresses


@functools.cache
def vector_bytes() -> int:
    """The width of the processor's vectors."""
    here = processor()
    return 64 if here.has("avx512f") else 32 if here.has("avx2") else 16
