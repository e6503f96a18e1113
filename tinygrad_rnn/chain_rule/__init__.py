"""The backbone: every derivative rule of the library, one file for each of the three chain-rule cases.

``print(tinygrad_rnn.chain_rule.rows)`` shows them all as a table.
"""

from . import addition, composition, weighting
from .choice import choices
from .registry import rows
from .row import Case, Row

__all__ = ["Case", "Row", "addition", "choices", "composition", "rows", "weighting"]
