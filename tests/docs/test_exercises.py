"""The course's exercises: solutions are right, and typical mistakes are refused with the hint that helps."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest

from docs.exercises import EXERCISES, __main__, check, stub
from docs.exercises.questions import SOLUTIONS, asked

pytestmark = pytest.mark.numpy_only

MISTAKES = [
    ("1", "g * (1 - y**2)", "g", "s", "it passed tanh unchanged"),
    ("1", "1 - y**2", "1 - s**2", "s", "written with the output"),
    ("1", "ds * s * (1 - s)", "ds", "x", "it passed the sigmoid unchanged"),
    ("1", "ds * s * (1 - s)", "ds * x * (1 - x)", "x", "it is s (1 − s)"),
    ("1", "ds * s * (1 - s)", "g * s * (1 - s)", "x", "the residual that comes to the sigmoid were g"),
    ("1", "ds * s", "-ds * s", "x", "It is -1 times the right one everywhere"),
    ("2", "g.sum(axis=0)", "g", "b", "the sum over the batch were missing"),
    ("2", "g.sum(axis=0)", "g.mean(axis=0)", "b", "copies are added up"),
    ("2", "g.sum(axis=0)", "g[0]", "b", "only the first row"),
    ("2", "[g, g]", "[g / 2, g / 2]", "x", "each of them gets all of it"),
    ("2", "[g, g]", "[g, 0 * g]", "x", "only the left half"),
    ("2", "[g, g]", "[g]", "x", "a residual has the shape of its value, (5, 4)"),
    ("3", "(g * a).sum(axis=0)", "g * a", "s", "the sum over the batch were missing"),
    ("3", "(g * a)", "(g * s)", "s", "the other side weights it"),
    ("3", "da = g * s", "da = g", "W", "s has weighted it by then"),
    ("3", "x.T @ da", "da.T @ x", "W", "As if transposed"),
    ("3", "da @ W.T", "da @ W", "x", "W were not transposed"),
    ("4", "+= part", "= part", None, "residuals of a value used twice are added"),
    ("4", "left, right = operands", "right, left = operands", None, "the other side"),
    ("4", "in reversed(tape)", "in tape", None, "no residual arrived"),
    ("5", "dh[t] = dh[t + 1] * (1 - k) + da @ U.T", "pass", "h", "add what the next step hands back"),
    ("5", "dy @ V.T", "(dy @ V.T if t == 4 else 0)", "h", "only the loss of the last step"),
    ("5", "dh[t + 1] * (1 - k) + ", "", "h", "(1 − k) h[t] did, too"),
    ("5", " + da @ U.T", "", "h", "h[t] @ U did"),
    ("5", "k * (1 - s**2)", "(1 - s**2)", "h", "k had not weighted tanh"),
    ("5", "1 - s**2", "1 - h[t + 1] ** 2", "h", "the state is not what tanh returned"),
    ("5", "da @ U.T", "da @ U", "h", "U were not transposed"),
    ("5", "dV += ", "dV = ", "V", "what the steps send to a parameter is added"),
    ("5", "dU += ", "dU = ", "U", "what the steps send to a parameter is added"),
    ("5", "db += da.sum(axis=0)", "db = db + da", "b", "the sum over the batch were missing"),
    ("5", "h[t].T @ da", "h[t + 1].T @ da", "U", "h[t] goes in"),
    ("5", "2 * (h[t + 1]", "(h[t + 1]", "h", "It is 0.5 times the right one everywhere"),
    ("6", "U.T @ J", "U @ J", "J", "No known mistake"),
    ("6", "h[t + 1] ** 2", "h[t] ** 2", "J", "written with the output"),
    ("6", "range(5)", "reversed(range(5))", "J", "the last step's is the leftmost"),
    ("6", "np.diag(1 - h[t + 1] ** 2) @ ", "", "J", "tanh had no slope"),
    ("6", '{"J": J}', '{"J": J.T}', "J", "As if transposed"),
    ("7", "dc = dc + dh", "dc = dh", "c", "the next step sends dc"),
    ("7", "dc + dh * o * (1 - y**2)", "dc", "c", "o tanh(c) sends a residual to c"),
    ("7", "dh * o * (1 - y**2)", "dh * o", "c", "tanh(c) had no slope"),
    ("7", "dg * (1 - g**2)", "dg * g * (1 - g)", "a", "g were a gate"),
    ("7", "np.concatenate(", "np.concatenate([di, df, dg, do] or ", "a", "the gates had no slopes"),
    ("7", '"c_prev": dc * f', '"c_prev": dc', "c_prev", "the forget gate weights it"),
    ("7", '"c_prev": dc * f', '"c_prev": dc * i', "c_prev", "by the input gate"),
    ("8a", " + do * p_o", "", "c", "there were no peepholes"),
    ("8a", " + di * p_i + df * p_f", "", "c_prev", "there were no peepholes"),
    ("8a", "(do * c).sum", "(do * c_prev).sum", "p_o", "it sees the new c"),
    ("8a", "(df * c_prev).sum", "(df * c).sum", "p_f", "they see c_prev"),
    ("8a", "(di * c_prev).sum(axis=0)", "di * c_prev", "p_i", "the sum over the batch were missing"),
    ("8b", "dh * (h_prev - n)", "dh * h_prev", "z", "it weights n by 1 − z, too"),
    ("8b", "dh * (1 - z)", "dh * z", "n", "had changed places"),
    ("8b", "da * r]", "da]", "p", "the reset gate had not weighted"),
    ("8b", "h_prev.T @ dp", "dp.T @ h_prev", "U", "As if transposed"),
    ("8b", "dh * z + dp @ U.T", "dh * z", "h_prev", "the product with U did, too"),
    ("8b", "dh * z + dp @ U.T", "dp @ U.T", "h_prev", "z * h_prev did, too"),
    ("9", "ds * slope + da * x", "ds * slope", "w", "were a constant"),
    ("9", "ds * slope + da * x", "da * x", "w", "w stands there itself"),
    ("9", "da * w", "0 * w", "x", "s did not depend on x"),
]  # fmt: skip
"""Exercise, what the solution says, what a student wrote, whose residual is wrong, and the hint."""


def solution(number: str) -> str:
    return (SOLUTIONS / EXERCISES[number].file).read_text(encoding="utf-8")


def written(number: str, text: str):
    """The function that an exercise asks for, from the text of a file."""
    namespace: dict = {}
    exec(text, namespace)
    return namespace[asked(EXERCISES[number]).name]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_is_right(number):
    report = check(number, written(number, solution(number)))
    assert report.right, report
    assert str(report).endswith("All right, for 3 random inputs.")


@pytest.mark.parametrize(("number", "says", "wrote", "of", "hint"), MISTAKES)
def test_a_mistake_is_refused_with_its_hint(number, says, wrote, of, hint):
    text = solution(number)
    assert text.count(says) == 1
    report = check(number, written(number, text.replace(says, wrote)))
    assert not report.right
    *before, where, said = str(report).splitlines()[1:]
    assert hint in where + said, report
    assert all(line.endswith("right") for line in before)
    assert of is None or where.split()[0] == of


@pytest.mark.parametrize("number", EXERCISES)
def test_a_stub_says_what_is_to_do(number):
    assert len(stub(number)) < len(solution(number))
    report = check(number, written(number, stub(number)))
    assert not report.right
    assert all(name in str(report) for name in ("Still to do", *EXERCISES[number].wanted))


def test_more_than_is_wanted_is_compared():
    right = written("3", solution("3"))
    report = check(3, lambda g, x, W, s: right(g, x, W, s) | {"a": g * (x @ W)})
    assert str(report).splitlines()[1].split()[:4] == ["a", "(4,", "3)", "wrong:"]
    assert "each side were weighted by itself" in str(report)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "The function returned NoneType, not a dict"),
        ({"s": np.zeros(4), "x": ...}, "Still to do: x."),
        ({"s": np.full(4, np.nan), "x": np.zeros(4)}, "not finite"),
        ({"s": np.zeros(4), "x": np.zeros(4)}, "no residual arrived"),
        ({"s": np.arange(4), "x": np.zeros(4)}, "Return the residuals of intermediate values"),
        ({"s": np.zeros((3, 2)), "x": np.zeros(4)}, "a residual has the shape of its value, (4,)"),
    ],
)
def test_what_no_exercise_knows_is_told_in_general(answer, told):
    report = check(1, lambda g, x: answer)
    assert not report.right
    assert told in str(report)


def test_a_function_may_write_into_what_it_is_given():
    def backward(g, x, b):
        db = g.sum(axis=0)
        x[:, :2] = x[:, 2:] = g
        g[:] = 0
        return {"b": db, "x": x}

    assert check(2, backward).right


def test_the_command_writes_a_stub_and_then_checks_it(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["exercises"])
    assert __main__.main() == 0
    listed = capsys.readouterr().out
    assert all(exercise.title in listed for exercise in EXERCISES.values())
    monkeypatch.setattr(sys, "argv", ["exercises", "3"])
    assert __main__.main() == 0
    path = tmp_path / "answers" / "3_weighting.py"
    assert path.read_text(encoding="utf-8") == stub(3)
    assert __main__.main() == 1
    path.write_text(solution("3"), encoding="utf-8")
    assert __main__.main() == 0
    said = capsys.readouterr().out
    assert [line in said for line in ("Fill in", "Still to do: s, W, x", "All right")] == [True] * 3


def test_the_solutions_are_those_of_exercises():
    assert {path.name for path in SOLUTIONS.iterdir() if path.suffix == ".py"} == {
        exercise.file for exercise in EXERCISES.values()
    }
    for exercise in EXERCISES.values():
        assert callable(runpy.run_path(str(SOLUTIONS / exercise.file))[asked(exercise).name])
