"""Texts, nodes and arrow heads of pictures keep clear of each other, with any font and any engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.graph import boxes
from tests.graph.conftest import started
from tinygrad_rnn.graph import engine as graphviz

pytestmark = pytest.mark.browser

FONTS = {
    "a font called Arial": ("Liberation Sans", "Arial"),
    "Liberation": ("Liberation Sans", None),
    "DejaVu": ("DejaVu Sans", None),
}
"""Which letters there are, and what else they are called."""

_CONFIGURATION = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>{folder}</dir>
<cachedir>{folder}/cache</cachedir>
{alias}
</fontconfig>
"""

_ALIAS = """<match target="scan"><test name="family"><string>{family}</string></test>
<edit name="family" mode="assign"><string>{name}</string></edit></match>"""


@pytest.fixture(scope="module", params=FONTS)
def fonts(request, tmp_path_factory):
    """A machine that has these letters only: the file that says so, and how wide "weights" is in them."""
    family, name = FONTS[request.param]
    found = subprocess.run(
        ["fc-list", family, "file"], capture_output=True, text=True, check=False
    ).stdout.split(":")
    files = [Path(file.strip()) for file in found if file.strip()]
    if not files:
        pytest.skip(f"no font {family}: apt install fonts-liberation fonts-dejavu-core")
    folder = tmp_path_factory.mktemp("fonts")
    for file in files:
        shutil.copy(file, folder)
    alias = _ALIAS.format(family=family, name=name) if name else ""
    (folder / "fonts.conf").write_text(_CONFIGURATION.format(folder=folder, alias=alias), encoding="utf-8")
    return {
        "file": str(folder / "fonts.conf"),
        "wide": {"Liberation Sans": 42.0, "DejaVu Sans": 46.5}[family],
    }


@pytest.fixture(scope="module")
def drawn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return boxes.pictures()


@pytest.fixture(scope="module")
def browser(fonts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FONTCONFIG_FILE", fonts["file"])
        driver = started()
        yield driver
        driver.quit()


def test_browser_and_graphviz_have_these_letters_only(fonts, browser, monkeypatch):
    """A word is as wide as in Arial's metrics, or as in DejaVu's."""
    svg = "<svg><text font-size='12' font-family=\"Arial, 'DejaVu Sans'\">weights</text></svg>"
    browser.get(f"data:text/html,{svg}")
    seen = browser.execute_script("return document.querySelector('text').getComputedTextLength()")
    assert seen == pytest.approx(fonts["wide"], abs=1)
    program = shutil.which("dot")
    if program is not None:
        monkeypatch.setattr(graphviz, "found", lambda: program)
        look = 'shape="plaintext", margin="0", width="0", fontname="Arial", fontsize="12"'
        dot = f"digraph {{ node [{look}]; weights }}"
        found = re.search(r"node weights \S+ \S+ (\S+)", graphviz.image(dot, "plain").decode())
        inches = float(found[1])
        assert 72 * inches == pytest.approx(fonts["wide"], abs=1)


@pytest.mark.parametrize("engine", ["dot", "graphviz-pure", None])
def test_nothing_lies_over_anything_else(engine, drawn, browser, tmp_path, monkeypatch):
    program = None
    if engine is not None:
        program = shutil.which(engine) or shutil.which(engine, path=str(Path(sys.executable).parent))
        if program is None:
            pytest.skip(f"{engine} is not installed")
    monkeypatch.setattr(graphviz, "found", lambda: program)
    svgs = {name: picture.svg() for name, picture in drawn.items()}
    assert boxes.faults(browser, tmp_path / "pictures.html", svgs) == []


def test_what_lies_over_something_else_is_found(browser, tmp_path):
    """The check itself, on a picture in which everything is wrong."""
    svg = """<svg viewBox="0 0 200 100" width="200" height="100"><g class="graph">
<g class="node"><polygon points="0,0 50,0 50,30 0,30"/><text x="30" y="20">leaves</text></g>
<g class="node"><polygon points="40,10 90,10 65,60"/><text x="55" y="22">b</text></g>
<g class="edge" id="e"><path d="M0,0L1,1"/><polygon stroke="none" points="60,20 70,15 70,25"/></g>
<g class="edge" id="f"><path d="M0,0L1,1"/><polygon stroke="none" points="62,20 72,15 72,25"/>
<text x="190" y="90">away</text></g></g></svg>"""
    kinds = {fault.split(" | ")[1] for fault in boxes.faults(browser, tmp_path / "page.html", {"all": svg})}
    assert kinds == {
        "text leaves its node", "text leaves the picture", "text on a node", "node on node", "head in a node",
        "head on head", "text on text", "head on text",
    }  # fmt: skip
