"""Machine code for the NumPy backend: LLVM text, compiled in memory by llvmlite (the compiler inside Numba),
kept on disk.

emit, loops        write the text of one function
compiler           makes code of it
code_cache         keeps that on disk for the next process
memory             laid out for machine code
thresholds         from which sizes and times on something pays
threads            run code together; in Python
handover, gang     the same in machine code: work handed out, and work done together
team               the words in memory that all threads look at
worker, waiting, backoff    what a worker does, how threads wait, when they are left alone
gemm               one matrix product
panels, tiles      its copies, and its inner loop
products           many products at once, shared by the threads
scatter            lines of a matrix added at places
"""
