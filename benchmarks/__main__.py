"""``python -m benchmarks``: every table; ``python -m benchmarks eager`` or ``sequence``: one of them."""

from __future__ import annotations

import sys

from . import eager, sequence

TABLES = {"eager": eager.main, "sequence": sequence.main}

for name in sys.argv[1:] or TABLES:
    if name not in TABLES:
        sys.exit(f"there is no table {name!r}: choose from {', '.join(TABLES)}")
    TABLES[name]()
