"""How elementwise rows are computed where they are written as code: each as one expression in atoms.

Printers of LLVM, C and CUDA write them; no other place knows an elementwise function. How exact each is
stands beside it (``Lowering.ulp``); ``tests/chain_rule/ulp.py`` measures it, and the coefficients come from
``tests/chain_rule/minimax.py``.
"""
