"""The last touch to an SVG: lengths of texts, heads, labels, and what stands above a picture."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import lstm_step, named, rnn_step
from tinygrad_rnn.graph import convert, finish
from tinygrad_rnn.graph.heads import draw_heads
from tinygrad_rnn.graph.outlines import Outline, outline_of, points_of
from tinygrad_rnn.graph.scene import Arrow, Scene
from tinygrad_rnn.graph.text import width_of

SQUARE = [(0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0)]


@pytest.mark.parametrize(
    ("text", "bold", "thousandths"),  # Adobe's metrics of Helvetica, added up by hand
    [
        ("tanh", False, 278 + 556 + 556 + 556),
        ("h[t]", False, 556 + 278 + 278 + 278),
        ("W_ih", False, 944 + 556 + 222 + 556),
        ("gain", True, 611 + 556 + 278 + 611),
        ("é", False, 556),
        ("权重", False, 2000),
        ("e\u0301", False, 556),
    ],
)
def test_widths_are_those_of_helvetica(text, bold, thousandths):
    assert width_of(text, 10, bold) == pytest.approx(thousandths / 100)


def test_every_text_says_how_long_it_is(layouts):
    root = ElementTree.fromstring(tg.draw(lstm_step(), gains=True).svg())
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        size, bold = float(text.get("font-size", "12")), text.get("font-weight") == "bold"
        assert float(text.get("textLength")) == pytest.approx(width_of(text.text, size, bold), abs=0.06)
    assert root.get("style") == "max-width: 100%; height: auto"


def edge(path, head, width="2"):
    g = ElementTree.Element("g", {"class": "edge"})
    ElementTree.SubElement(g, "path", {"d": path, "stroke": "#123456", "stroke-width": width})
    ElementTree.SubElement(g, "polygon", {"points": head})
    return g


@pytest.mark.parametrize("turned", [False, True])
def test_a_head_stops_before_its_node_and_its_line_at_its_base(turned):
    path = "M90,10C70,10 50,10 30,10" if turned else "M30,10C50,10 70,10 90,10"
    g, node = edge(path, "30,6 18,10 30,14 30,6", "5"), Outline(SQUARE, 1.0)  # the tip is in the node
    draw_heads([(g, [node])], [node])
    corners, line = points_of(g[1]), points_of(g[0])
    assert min(x for x, _ in corners) == pytest.approx(22.5, abs=0.02)
    assert max(x for x, _ in corners) == pytest.approx(min(x for x, _ in line), abs=0.2)
    assert (line[-1][0] < line[0][0]) == turned
    assert {90.0} == {line[0][0] if turned else line[-1][0]}
    assert g[1].get("fill") == "#123456"


def test_heads_at_one_place_stand_side_by_side_and_do_not_cross():
    node = Outline(SQUARE)
    down = edge("M30,10C50,10 50,90 90,90", "30,6 20,10 30,14")
    up = edge("M30,10C50,10 50,-70 90,-70", "30,6 20,10 30,14")
    one, other = draw_heads([(down, [node]), (up, [node])], [node])
    assert not one.hits(other)
    assert min(y for _, y in points_of(down[1])) > min(y for _, y in points_of(up[1]))


def test_outlines_know_inside_and_outside():
    diamond = Outline([(10.0, 0.0), (20.0, 10.0), (10.0, 20.0), (0.0, 10.0)])
    assert diamond.distance((10.0, 10.0)) == pytest.approx(-10 / math.sqrt(2))
    assert not diamond.meets((0.0, 0.0, 4.0, 4.0))
    assert diamond.meets((0.0, 0.0, 6.0, 6.0))
    cells = [
        ElementTree.Element("polygon", {"points": points})
        for points in ("0,0 10,0 10,5 0,5", "0,5 10,5 10,9 0,9")
    ]
    assert outline_of(cells).box == (0, 0, 10, 9)


def test_a_number_gives_way_to_a_node():
    root = ElementTree.Element("svg")
    graph = ElementTree.SubElement(root, "g", {"class": "graph"})
    node = ElementTree.SubElement(graph, "g", {"class": "node", "id": "a"})
    ElementTree.SubElement(node, "polygon", {"points": "0,0 20,0 20,20 0,20"})
    g = ElementTree.SubElement(graph, "g", {"class": "edge", "id": "e"})
    text = ElementTree.SubElement(g, "text", {"x": "18", "y": "12", "font-size": "10"})
    text.text = "×0.5"
    arrow = Arrow("e", "a", "a", {}, back=True)
    finish.finished(root, Scene("", "", [], [arrow], [], [], "", [], [], True))
    x, y = float(text.get("x")), float(text.get("y"))
    assert not Outline(SQUARE).meets((x, y - 7.5, x + width_of("×0.5", 10), y + 2.2))
    assert math.hypot(x - 18, y - 12) < 15
    assert text.get("paint-order") == "stroke"


def test_what_stands_above_a_picture_is_broken_into_lines(layouts):
    title = "a very long title " * 4
    root = ElementTree.fromstring(tg.draw(named(rnn_step(), "y"), gains=True, title=title).svg())
    left, _, width, _ = map(float, root.get("viewBox").split())
    (head,) = (g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "head")
    lines = [text for text in head if text.get("textLength")]
    assert len(lines) > 5
    assert all(float(line.get("x")) + float(line.get("textLength")) <= left + width for line in lines)


@pytest.mark.parametrize(("width", "shown"), [(None, 1200), (700, 700)])
def test_no_picture_is_wider_than_asked(layouts, width, shown):
    """A chain that would be more than 2,000 pixels wide, by an engine and by our own layout."""
    y = named(lstm_step()[0], "h")
    for _ in range(20):
        y = tg.tanh(y)
    options = {} if width is None else {"width": width}
    root = ElementTree.fromstring(tg.draw(y, view="ops", gains=True, **options).svg())
    assert float(root.get("width")) == shown


def test_boxes_have_room_for_the_heads_that_point_at_them():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    dot = tg.draw(tg.sum(sum(tg.tanh(x * float(i)) for i in range(10)))).dot
    assert 'shape="box"' in dot
    assert max(float(height) for height in re.findall(r'shape="box".* height="([^"]+)"', dot)) == (
        pytest.approx(10 * 12 / 72, abs=1e-3)
    )


@pytest.mark.parametrize(
    ("said", "font"), [("weight_hhᵀ", "DejaVu Sans"), ("权重", "Noto Sans CJK SC"), ("W", "")]
)
def test_letters_that_few_fonts_have_name_their_font_in_other_images(said, font):
    texts = f'<text x="1">{said}</text><title>ᵀ</title><text>y</text>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg">{texts}</svg>'
    root = ElementTree.fromstring(convert._with_fonts(svg))
    fonts = [text.get("font-family", "") for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [font in found and bool(found) == bool(font) for found in fonts] == [True, not font]
    assert fonts[1] == ""
