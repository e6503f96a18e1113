"""Engines, layouts, and a reader in front of a browser.

The browser is Chromium, driven by Selenium: ``apt install chromium chromium-driver``. Without it its tests
are skipped, visibly.
"""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from tests.graph.browser import Reader
from tinygrad_rnn.graph import engine as graphviz

ENGINE = graphviz.found()


@pytest.fixture(params=["dot", "graphviz-pure"])
def engine(request, monkeypatch):
    """Each engine that is installed."""
    found = shutil.which(request.param) or shutil.which(request.param, path=os.path.dirname(sys.executable))
    if found is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setattr(graphviz, "found", lambda: found)
    return found


@pytest.fixture(params=["engine", "own layout"])
def layouts(request, monkeypatch):
    """Both ways to a drawing."""
    if request.param == "engine" and ENGINE is None:
        pytest.skip("no graphviz engine: pip install graphviz-pure")
    monkeypatch.setattr(graphviz, "found", lambda: ENGINE if request.param == "engine" else None)
    return request.param


def started():
    """A browser of its own."""
    programs = [shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("no browser: apt install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    quiet = (
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
    )
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900", *quiet):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))


@pytest.fixture(scope="session")
def chromium():
    driver = started()
    yield driver
    driver.quit()


@pytest.fixture
def reader(chromium, tmp_path):
    reader = Reader(chromium, tmp_path / "page.html")
    chromium.get_log("performance")
    chromium.get_log("browser")
    yield reader
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked == {reader.file.as_uri()}
