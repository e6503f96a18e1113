"""Tables for notebooks and pages, light or dark: colours are mixed from the text's own.

Everything is escaped but what is :class:`Markup`, which only the functions here make. There are no scripts,
and nothing is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..colours import BLUE, CASES
from .text import ends, printable

LINES = 60
"""How many a table shows from each end."""

_STYLE = """<style>
.tinygrad-rnn {overflow-x: auto; max-width: 100%; margin: .4em 0; line-height: 1.45}
.tinygrad-rnn p {margin: .3em .55em}
.tinygrad-rnn ul {margin: .2em 0 .5em; padding-left: 1.8em}
.tinygrad-rnn img {max-width: 100%}
.tinygrad-rnn table.tgr {border-collapse: collapse; border: 0; margin: .3em 0 .6em; display: table;
  width: auto; font-size: .92em; font-variant-numeric: tabular-nums; color: inherit}
.tinygrad-rnn table.tgr caption {caption-side: top; text-align: left; font-weight: 600; color: inherit;
  padding: .2em .6em}
.tinygrad-rnn table.tgr tr th, .tinygrad-rnn table.tgr tr td {border: 0; padding: .15em .6em;
  text-align: left; vertical-align: baseline; white-space: nowrap; background: none; color: inherit}
.tinygrad-rnn table.tgr tr th {font-weight: 600;
  border-bottom: 1px solid color-mix(in srgb, currentColor 45%, transparent)}
.tinygrad-rnn table.tgr tr .right {text-align: right}
.tinygrad-rnn table.tgr tbody tr, .tinygrad-rnn table.tgr tbody tr:nth-child(n) {background: none}
.tinygrad-rnn table.tgr tbody tr:hover {background: color-mix(in srgb, currentColor 8%, transparent)}
.tinygrad-rnn .case {border-left: .3em solid; padding: 0 .45em; border-radius: .2em}
.tinygrad-rnn .bar {display: inline-block; width: 5em; height: .7em; margin-right: .5em;
  background: color-mix(in srgb, currentColor 14%, transparent)}
.tinygrad-rnn .bar i {display: block; height: 100%; background: BLUE}
.tinygrad-rnn .pale {opacity: .65}
</style>""".replace("BLUE", BLUE)


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """The text as a page shows it."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return Markup(printable(text))


def chip(case: str) -> Markup:
    """A case of the chain rule on its colour; the word says it without the colour, too."""
    colour = CASES.get(case)
    if colour is None:
        return escaped(case)
    look = f"border-color: {colour}; background: color-mix(in srgb, {colour} 20%, transparent)"
    return Markup(f'<span class="case" style="{look}">{escaped(case)}</span>')


def bar(share: float, label: str) -> Markup:
    """A part of 1 as a bar, and in words behind it."""
    part = min(max(share, 0.0), 1.0) if math.isfinite(share) else 1.0
    filled = f'<i style="width: {100 * part:.1f}%"></i>'
    return Markup(f'<span class="bar" role="presentation">{filled}</span>{escaped(label)}')


def indented(text: str, depth: int) -> Markup:
    """What stands inside of something else."""
    return Markup(f'<span style="padding-left: {1.2 * depth:g}em">{escaped(text)}</span>')


def lines(texts: Sequence[str]) -> Markup:
    """Texts below each other."""
    return Markup("<br>".join(map(_cell, texts)))


def pale(text: str) -> Markup:
    return Markup(f'<span class="pale">{escaped(text)}</span>')


def strong(text: str) -> Markup:
    return Markup(f"<strong>{escaped(text)}</strong>")


def image(png: str, words: str) -> Markup:
    """A picture, given in base64, on white: its own ink is dark."""
    return Markup(f'<img alt="{escaped(words)}" src="data:image/png;base64,{png}" style="background: white">')


def items(texts: Sequence[str]) -> Markup:
    """A list."""
    return Markup(f"<ul>{''.join(f'<li>{_cell(text)}</li>' for text in texts)}</ul>")


def paragraph(text: str) -> Markup:
    return Markup(f"<p>{_cell(text)}</p>")


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], sides: str, caption: str = "", whole: bool = False
) -> Markup:
    """Rows of cells under a head, each column flush to its side: ``<`` or ``>``. Of many rows both ends, if
    not the whole is asked for."""
    first, last, between = ends(rows, len(rows) if whole else LINES)
    written = [_row("td", row, sides) for row in first]
    if between:
        written.append(f'<tr><td colspan="{len(head)}">{pale(between)}</td></tr>')
        written += [_row("td", row, sides) for row in last]
    title = f"<caption>{_cell(caption)}</caption>" if caption else ""
    body = "\n".join(written)
    return Markup(
        f'<table class="tgr">{title}<thead>{_row("th", head, sides)}</thead>\n<tbody>{body}</tbody></table>'
    )


def block(*parts: Markup) -> str:
    """Tables and paragraphs as a notebook shows them: where they are too wide, they scroll by themselves."""
    return f'<div class="tinygrad-rnn" tabindex="0">{_STYLE}\n' + "\n".join(parts) + "</div>"


def _row(kind: str, cells: Sequence[str], sides: str) -> str:
    looks = [' class="right"' if side == ">" else "" for side in sides]
    written = [f"<{kind}{look}>{_cell(cell)}</{kind}>" for cell, look in zip(cells, looks, strict=True)]
    return f"<tr>{''.join(written)}</tr>"


def _cell(text: str) -> Markup:
    return text if isinstance(text, Markup) else escaped(text)
