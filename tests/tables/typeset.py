"""Whether LaTeX is right: by a LaTeX that is installed, and in any case by its structure and, formula by
formula, by matplotlib's reader of mathematics."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCUMENT = r"""\documentclass{article}
\usepackage{amsmath,amssymb,longtable}
\begin{document}
%s
\end{document}
"""


def check_structure(text: str) -> None:
    """Braces and environments close, nothing is special that should not be, and rows have as many cells as
    their head."""
    bare = re.sub(r"\\(?:\\|[{}$&#%_])", "", text)
    assert not re.search(r"[#%~]", bare), bare
    depth = 0
    for character in re.sub(r"[^{}]", "", bare):
        depth += 1 if character == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and " & " in line]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) <= 1


def check_formula(formula: str) -> None:
    r"""Read by matplotlib, which knows no relations made of signs, no ``\&``, and no breaks of lines."""
    from matplotlib.mathtext import MathTextParser

    formula = formula.replace(r"\mathrel{+}=", "+=").replace(r"\&", "&").replace(r"\allowbreak", "")
    assert MathTextParser("path").parse(f"${formula}$").width > 0


def formulas_in(text: str) -> list[str]:
    """Those of a table's cells, or of the lines of an ``align``."""
    if r"\begin{align}" not in text:
        return re.findall(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$", text)
    lines = [line.removesuffix(r" \\") for line in text.splitlines() if not line.startswith("\\")]
    return [re.sub(r"(?<!\\)&", " ", line.split(" && ")[0]) for line in lines]


def check_compiles(text: str, folder: Path) -> None:
    """By a LaTeX of this machine, if there is one."""
    program = next(filter(None, map(shutil.which, ("lualatex", "xelatex", "pdflatex", "tectonic"))), None)
    if program is None:
        pytest.skip("no LaTeX: apt install texlive-latex-recommended")
    (folder / "page.tex").write_text(DOCUMENT % text, encoding="utf-8")
    options = [] if program.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([program, *options, "page.tex"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
