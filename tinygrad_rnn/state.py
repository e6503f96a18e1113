"""Everything in the library's modules that outlives a call, in one table.

A name that is bound at the top of a module and changed by its functions stands here, with what it is for; a
test reads the source and compares. There are six kinds:

    switch     what somebody has set: a block, or a test, leaves it as it was
    cache      bounded, and emptied by ``clear_caches``
    result     what a function of things that never change has returned; right for ever
    running    what goes on at the moment; empty when nothing does
    counter    what counts on: numbers, random numbers, and locks
    filled     tables that importing fills
"""

from __future__ import annotations

import contextvars
import sys
import threading
from typing import Any, Literal

Kind = Literal["switch", "cache", "result", "running", "counter", "filled"]

STATE: dict[Kind, dict[str, str]] = {
    "switch": {
        "backends._process_backend": "the backend of new tensors in the process",
        "backends._blocks": "the same in a block",
        "nn.module._noted": "who wants to know what modules return",
        "sequence.budget._given": "the memory budget, where somebody has set one",
        "tape.host.default_dtype": "the dtype of Python floats",
        "tape.mode.thread": "of each thread: whether it records, what it traces, who looks on",
    },
    "cache": {
        "backends.native.compiler._codes": "machine code, by its text",
        "optim.machine_code.loops": "loops of optimisers",
        "sequence.numbers._kinds": "which numbers of a program have changed",
        "sequence.plans._plans": "plans, by program, needs and options",
        "sequence.rows._kernel": "kernels of functions of rows",
        "sequence.single_step._calls": "calls of single steps, by cell and shape",
        "sequence.single_step._steps": "steps that are bound to weights and memory",
        "sequence.traces._shared": "traces, by code",
        "sequence.traces._traces": "traces, by cell",
    },
    "result": {
        "backends.native.compiler._target": "the processor",
        "backends.native.compiler.available": "whether llvmlite is there",
        "backends.native.compiler.has": "what the processor can do",
        "backends.native.compiler.processor": "what code is written and compiled for",
        "backends.native.compiler.vector_bytes": "how long its vectors are",
        "backends.native.emit.vectors": "LLVM's types of vectors",
        "backends.native.gemm.text": "the text of products",
        "backends.native.memory.keep_memory": "whether the C library was asked to keep memory",
        "backends.native.products._code": "the addresses of products",
        "backends.native.products._parts": "parts of a length",
        "backends.native.products._shares": "what threads share of a product",
        "backends.native.scatter._add_rows": "the address of the loop that adds lines",
        "backends.native.threads._callable": "functions of machine code, by address",
        "backends.native.threads._blas": "how to ask BLAS for its threads",
        "backends.native.threads.shares": "parts of a length",
        "backends.numpy_backend._memory": "how memory is asked for",
        "chain_rule.lowering.lowered._cost": "what an expression costs",
        "chain_rule.lowering.trigonometric._parts": "2/π in parts",
        "nn.variables._globals": "the globals that code names",
        "numpy_functions._signature": "signatures of functions",
        "reading.again._names_things": "whether code names things",
        "reading.closure._is_plain": "whether objects of a class are their attributes",
        "reading.functions.names_in": "names in code",
        "reading.objects.slots_of": "slots of a class",
        "reading.objects.storage_of": "what a class inherits its content from",
        "reading.objects.used_by_library": "whether the library reads objects of a class",
        "reading.steady.steady_class": "whether nobody changes a class",
        "reading.steady.steady_file": "whether nobody changes what a file defines",
        "reading.steady.steady_module": "whether nobody changes a module",
        "reading.stores.imports_in": "imports in code",
        "reading.stores.nested": "code in code",
        "reading.stores.operations": "instructions of code",
        "sequence.doubts._compares_objects": "whether code compares objects",
        "sequence.watch._origin": "where code comes from",
        "user_code.is_user": "whether a file is the user's",
    },
    "running": {
        "backends.native.products._rooms": "memory that products copy to, and nobody uses now",
        "backends.native.threads._in_use": "what machine code may still read and write",
        "backends.native.threads._left_behind": "teams that a child process has no threads of",
        "backends.native.threads._open": "blocks in which NumPy's products use one thread",
        "backends.native.threads._teams": "the threads of this process",
        "backends.numpy_backend._inside": "blocks in which NumPy does not warn",
        "reading.lines._lines": "lines that recorded entries which are still there",
        "sequence.budget._claims": "bytes that scans keep",
        "sequence.compiled._planning": "whether plans are made, and nothing is run",
        "sequence.explained._last": "how each cell ran last",
        "sequence.explained._told": "warnings that were given of a cell",
        "sequence.single_step._lost": "weights that are no more, and a bound step has copies of",
        "sequence.traces._gone": "cells that are no more",
        "tape.mode.observing": "threads with an observer",
        "tape.writes.exposed": "arrays that the user has, and what they held",
    },
    "counter": {
        "random._generator": "random numbers",
        "backends.native.code_cache._warned": "whether a warning was given",
        "backends.native.threads._blocks": "a lock",
        "backends.native.threads._numbers": "tickets",
        "caches._clock": "when a value was used",
        "sequence.budget._numbers": "claims",
        "sequence.index._serials": "variables of loops",
        "tape.ends.adding": "a lock",
        "tape.entry._indices": "entries",
    },
    "filled": {
        "backends._loaded": "backends that were loaded",
        "caches._listed": "the caches of this table",
        "caches._memoised": "functions among them",
        "chain_rule.registry.rows": "the rules",
        "effects.effects": "functions that change something that stays",
        "interop.onnx.operators.table.operators": "ONNX's operators",
        "interop.onnx.writing.rows.ROWS": "the library's operations in ONNX's operators",
    },
}


def switches() -> dict[str, Any]:
    """What each switch says now, by its name; of what each thread has for itself, this thread's."""
    found: dict[str, Any] = {}
    for name in STATE["switch"]:
        module, _, attribute = name.rpartition(".")
        if f"{__package__}.{module}" not in sys.modules:  # nobody has set it
            continue
        value = getattr(sys.modules[f"{__package__}.{module}"], attribute)
        if isinstance(value, threading.local):
            found |= {f"{name}.{part}": it for part, it in vars(value).items()}
        elif isinstance(value, contextvars.ContextVar):
            found[name] = value.get()
        else:
            found[name] = value.get(None) if isinstance(value, dict) else value
    return found
