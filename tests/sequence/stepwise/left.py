"""What a cell leaves behind."""

from __future__ import annotations


def leaving(cell, left):
    cell.left = left
    return cell
