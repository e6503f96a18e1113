"""The book: Sphinx with MyST. ``python -m docs`` builds it, in English and (the course) in Chinese."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import jieba
from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.search.zh import SearchChinese

project = "tinygrad_rnn"
author = "the tinygrad_rnn authors"
version = release = importlib.metadata.version("tinygrad_rnn")

# Cells import docs.exercises and benchmarks, and this file a role, as from the root of a checkout.
ROOT = str(Path(__file__).parent.parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
sys.path[:0] = [ROOT, str(Path(__file__).parent)]

from docs import source_names  # noqa: E402

extensions = [
    "myst_nb",  # pages are Markdown; their code cells are executed
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "reference",  # the directive of the API's pages
]

chinese = tags.has("chinese")  # type: ignore[name-defined]  # noqa: F821  (given by Sphinx)
language = "zh_CN" if chinese else "en"
locale_dirs, gettext_compact = ["locale"], False
exclude_patterns = ["_build", "exercises/README.md"]
root_doc = "course/index" if chinese else "index"
ENGLISH = Path(__file__).parent / "_build" / "html" / "objects.inv"
if chinese:
    jieba.setLogLevel("WARNING")
    include_patterns = ["course/**"]
    html_search_options = {"dict": str(Path(__file__).parent / "locale" / "zh_CN" / "terms.txt")}
    nb_code_prompt_show, nb_code_prompt_hide = "显示代码", "隐藏代码"
    if ENGLISH.exists():  # to the API's pages, which are in English
        intersphinx_mapping = {"english": ("../", str(ENGLISH))}

# -- what runs -----------------------------------------------------------------------------------------------

nb_execution_mode = "cache"  # ``python -m docs`` begins with an empty one: the Chinese pages reuse what ran
nb_execution_cache_path = "_build/executed"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

# -- how it looks --------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "tinygrad_rnn"
html_static_path, templates_path = ["_static"], ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/language.html",
        "sidebar/scroll-end.html",
    ]
}
html_context = {"chinese": chinese}
html_css_files = ["book.css"]
html_copy_source = False
html_show_sphinx = html_show_copyright = False
html_math_renderer = "mathml"

# -- the API's pages -----------------------------------------------------------------------------------------

autosummary_generate = False
toc_object_entries_show_parents = "hide"
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. ", True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {
    name: name for name in ("ArrayLike", "Axis", "DTypeLike", "Index", "Leaf", "Nest", "Tensor")
}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_rtype = False


def _formula(display: str) -> Any:
    """Writes a formula as MathML, which browsers show by themselves: the book loads nothing."""

    def visit(page: Any, node: Any) -> None:
        page.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit, None


def _to_english(app: Any, doctree: Any) -> None:
    """The Chinese book is the course: other pages that it links to are read in English."""
    for link in list(doctree.findall(addnodes.pending_xref)):
        page = link["reftarget"]
        if link.get("refdomain") == "doc" and page not in app.env.found_docs:
            link.replace_self(nodes.reference("", "", *link.children, refuri=f"../../{page}.html"))


class _ChineseSearch(SearchChinese):
    language_name = "English"  # of the stemmer that it uses: Sphinx 9.0 looks for another (its issue 14229)


def setup(app: Any) -> None:
    app.add_search_language(_ChineseSearch)
    if chinese:
        app.connect("doctree-read", _to_english)
    app.add_role("source", source_names.role)
    app.add_html_math_renderer("mathml", _formula("inline"), _formula("block"))
