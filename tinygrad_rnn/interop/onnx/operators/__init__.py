"""The operators that files may hold, in a table: one operator, one row."""

from . import control, elementwise, products, reductions, shapes
from .table import operators as operators

ROOMS = (control, elementwise, products, reductions, shapes)
"""Each writes its rows into the table."""
