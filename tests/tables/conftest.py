"""The browser that pictures are opened in."""

from tests.graph.conftest import chromium as chromium
from tests.graph.conftest import reader as reader
