"""A diagnosis as notebooks show it: the verdict of each chain, the worst steps, and units that let little
through."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence

from ..reading.words import formatted, gain_label, percent
from ..tables import html
from ..tables.html import Markup
from .health import Activation
from .track import Track

_HEAD = ("chain", "verdict", "1 % still reaches", "left at the first step", "gain of a step")
_SATURATED = "How much of each gate is saturated: a slope below 0.01"


def page(
    tracks: Sequence[Track], statements: Sequence[str], found: Sequence[Activation], image: bytes | None
) -> str:
    """The parts in one block.

    Args:
        tracks: the chains.
        statements: what is to be said of them beside their verdicts.
        found: the activations in all.
        image: the heat map as PNG, if there is one.
    """
    parts = [html.table(_HEAD, [_verdict(track) for track in tracks], "<<<>>", "Where the residual goes")]
    if statements:
        parts += [html.paragraph(html.strong("The steps that change it most")), html.items(statements)]
    if image is not None:
        parts.append(html.image(base64.b64encode(image).decode("ascii"), "heat map of the residuals"))
    if rows := list(_activations(found)):
        parts.append(html.table(("chain", "units", "saturated", "dead"), rows, "<<<<", _SATURATED))
    return html.block(*parts)


def _verdict(track: Track) -> Sequence[str]:
    verdict = track.verdict()
    kind = html.strong(verdict.kind)
    if verdict.kind == "unreached":
        return [track.name, kind, "no residual comes into these steps", "", ""]
    reach = html.bar(
        verdict.horizon / max(verdict.steps, 1), f"{verdict.horizon} of {verdict.steps} steps back"
    )
    left = formatted(verdict.left, 3) if math.isfinite(verdict.left) else gain_label(verdict.left)
    return [track.name, kind, reach, left, gain_label(verdict.rate)]


def _activations(found: Sequence[Activation]) -> Iterator[Sequence[str | Markup]]:
    for one in found:
        dead = f"{len(one.dead)} of {one.units}" if one.dead else ""
        yield [one.chain or "", one.name, html.bar(one.saturated, percent(one.saturated)), dead]
