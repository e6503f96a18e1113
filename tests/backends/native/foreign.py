"""Machine code for another processor: ``python foreign.py triple processor dtype cell…`` says as JSON how it
is.

The text of each cell is written as for that processor, and run here: its results are compared with the loop
over time. Where the triple is this machine's, the code that runs is the other processor's too; else the text
is compiled once more, to an object file for that system. So is the text that hands work over to threads.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import llvmlite.binding as llvm

from tinygrad_rnn.backends.native import compiler, handover, threads
from tinygrad_rnn.selfcheck import cells, sequences

OUTSIDE = re.findall(
    r"\w+",
    """
    fma sqrt floor ceil trunc rint roundeven nearbyint round exp exp2 exp10 expm1 log log2 log10 log1p pow
    sin cos tan sinh cosh tanh asin acos atan atan2 erf fmod ldexp hypot cbrt __chkstk ___chkstk_ms
    """,
)
"""Functions of C libraries that machine code for a lesser processor may call unasked: slow where they are
there, the end of the process where they are not. Those that move memory are everywhere."""


def called(content: bytes) -> list[str]:
    """Functions of a C library that an object file names."""
    names = "|".join(f"{name}f?" for name in OUTSIDE)
    return sorted(
        {name.decode() for name in re.findall(rb"(?<![\w.])_?(" + names.encode() + rb")\0", content)}
    )


def compiled_there(text: str, machine: Any) -> dict[str, Any]:
    """What becomes of a text, optimised for that machine."""
    module = compiler._optimised(text, machine)
    content, assembly = bytes(machine.emit_object(module)), machine.emit_assembly(module)
    return {
        "format": content[:4].hex(),
        "calls": called(content),
        "functions": [
            f.name for f in module.functions if not f.is_declaration and f.linkage.name == "external"
        ],
        "assembly": assembly,
    }


def main(triple: str, processor: str, dtype: str, names: list[str]) -> dict[str, Any]:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    there, texts, optimised = compiler.Processor(triple, processor, ""), [], compiler._optimised
    if triple != compiler.processor().triple:
        threads._team()  # the one text that cannot run here; and what is made from now on runs here
    compiler.processor = lambda: there
    compiler._optimised = lambda text: texts.append(text) or optimised(text)
    makers = {make.__name__: make for make in (*cells.ALL, *cells.FORMULAS)}
    found = {name: sequences.agrees(makers[name], "numpy", dtype, 40, 24) for name in names}
    compiler._optimised = optimised
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)
    objects = [compiled_there(text, machine) for text in texts]
    return {"cells": found, "objects": objects, "hand-over": compiled_there(handover.text(), machine)}


if __name__ == "__main__":
    _, triple, processor, dtype, *names = sys.argv
    json.dump(main(triple, processor, dtype, names), sys.stdout)
