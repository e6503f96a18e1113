"""Machine code for the NumPy backend: LLVM text, compiled in memory by llvmlite (the compiler inside Numba),
kept on disk.

``emit`` writes text, ``compiler`` makes code of it and keeps that; ``threads`` run it together, on ``memory``
laid out for it. ``panels``, ``gemm`` and ``products`` are matrix products, ``scatter`` adds rows at places.
"""
