"""The operators that files may hold, in a table: one operator, one row."""

from . import control, elementwise, products, recurrent, reductions, shapes
from .table import operators as operators

ROOMS = (control, elementwise, products, recurrent, reductions, shapes)
"""Each writes its rows into the table."""
