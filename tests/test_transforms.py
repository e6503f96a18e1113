"""Derivatives of functions against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

X = np.array([0.3, -1.2, 0.8])


def x64(values=X, **kwargs):
    return tg.tensor(np.array(values, dtype=np.float64), **kwargs)


def near(ours, theirs, rtol=1e-12, atol=1e-13):
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=rtol, atol=atol)


# -- grad ----------------------------------------------------------------------------------------------------


def test_grad_of_one_argument():
    near(tg.grad(lambda x: tg.sin(x).sum())(x64()), np.cos(X))


def test_grad_picks_arguments():
    def f(x, y, z):
        return (x * y**2 * z).sum()

    x, y, z = x64(), x64(X + 2), x64(X - 3)
    near(tg.grad(f)(x, y, z), (X + 2) ** 2 * (X - 3))
    near(tg.grad(f, 2)(x, y, z), X * (X + 2) ** 2)
    by_z, by_x = tg.grad(f, (2, 0))(x, y, z)
    near(by_z, X * (X + 2) ** 2)
    near(by_x, (X + 2) ** 2 * (X - 3))
    assert isinstance(tg.grad(f, (1,))(x, y, z), tuple)


def test_grad_is_nested_as_its_argument():
    def f(parameters, x):
        return (parameters["layer"][0] * x + parameters["layer"][1] ** 2).sum() * parameters["scale"]

    parameters = {"layer": [x64(), x64(X + 1)], "scale": x64(2.0)}
    found = tg.grad(f)(parameters, x64(X - 1))
    assert found.keys() == parameters.keys()
    assert isinstance(found["layer"], list)
    near(found["layer"][0], 2 * (X - 1))
    near(found["layer"][1], 4 * (X + 1))
    near(found["scale"], (X * (X - 1) + (X + 1) ** 2).sum())


def test_value_and_grad_passes_keywords_on_and_returns_constants():
    value, slope = tg.value_and_grad(lambda x, power=1: (x**power).sum())(x64(), power=3)
    near(value, (X**3).sum())
    near(slope, 3 * X**2)
    assert not value.requires_grad
    assert not slope.requires_grad


def test_grad_of_a_constant_is_zero():
    near(tg.grad(lambda x: tg.tensor(1.0))(x64()), 0 * X)
    near(tg.grad(lambda x: tg.sum(tg.sign(x)))(x64()), 0 * X)


def test_grad_needs_one_number_and_a_float():
    with pytest.raises(tg.ShapeError, match="jacobian"):
        tg.grad(tg.sin)(x64())
    with pytest.raises(tg.DtypeError, match="int64"):
        tg.grad(lambda x: x.sum())(tg.tensor(np.arange(3)))


def test_grad_leaves_the_outside_alone():
    x = x64(requires_grad=True)
    tg.grad(lambda y: (y * x).sum())(x64())
    assert x.grad is None


def test_grad_inside_no_grad():
    with tg.no_grad():
        near(tg.grad(lambda x: (x**3).sum())(x64()), 3 * X**2)
        near(tg.hessian(lambda x: (x**3).sum())(x64()), np.diag(6 * X))
        near(tg.jvp(tg.sin, x64(), x64())[1], np.cos(X) * X)
        near(tg.hvp(lambda x: (x**3).sum(), x64(), x64()), 6 * X * X)


def test_third_and_fourth_derivative():
    def along(f):
        return lambda x: tg.grad(lambda y: f(y).sum())(x)

    f = tg.tanh
    t = np.tanh(X)
    for expected in [
        1 - t**2,
        -2 * t * (1 - t**2),
        (1 - t**2) * (6 * t**2 - 2),
        (1 - t**2) * t * (16 - 24 * t**2),
    ]:
        f = along(f)
        near(f(x64()), expected, rtol=1e-11)


def test_perturbations_are_not_confused():
    # d/dx [x · d/dy (x + y)] = 1, the classic test of Siskind & Pearlmutter (2005)
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(x64(1.0)))(x64(1.0)).item() == 1
    assert (
        tg.jvp(lambda x: x * tg.jvp(lambda y: x + y, x64(1.0), x64(1.0))[1], x64(1.0), x64(1.0))[1].item()
        == 1
    )
    assert tg.grad(lambda x: x * tg.jvp(lambda y: x * y, x64(1.0), x64(1.0))[1])(x64(3.0)).item() == 6
    assert tg.jvp(lambda x: x * tg.grad(lambda y: x * y * y)(x64(2.0)), x64(3.0), x64(1.0))[1].item() == 24


def test_a_closure_is_differentiated_through_an_inner_gradient():
    w = x64(X + 1, requires_grad=True)
    slope = tg.grad(lambda x: (w * x**2).sum())(x64())
    slope.sum().backward()
    near(w.grad, 2 * X)


# -- vjp, jvp, hvp -------------------------------------------------------------------------------------------


def test_vjp_of_several_arguments_and_results():
    (total, product), pull = tg.vjp(lambda x, y: (x + y, x * y), x64(), x64(X + 2))
    near(total, 2 * X + 2)
    near(product, X * (X + 2))
    by_x, by_y = pull((x64([1, 2, 3]), x64([4, 5, 6])))
    near(by_x, np.array([1, 2, 3]) + np.array([4, 5, 6]) * (X + 2))
    near(by_y, np.array([1, 2, 3]) + np.array([4, 5, 6]) * X)
    again = pull((x64([1, 2, 3]), x64([4, 5, 6])))
    near(again[0], by_x.numpy())


def test_vjp_is_differentiable_in_the_residual():
    _, pull = tg.vjp(tg.sin, x64())
    near(tg.grad(lambda g: (pull(g)[0] ** 2).sum())(x64(X + 1)), 2 * (X + 1) * np.cos(X) ** 2)


def test_vjp_of_a_result_that_does_not_depend():
    _, pull = tg.vjp(lambda x, y: x * 2, x64(), x64())
    near(pull(x64())[1], 0 * X)
    _, pull = tg.vjp(lambda x: (x.detach(), x * 3), x64())
    near(pull((x64(), x64()))[0], 3 * X)


@pytest.mark.both_backends
def test_jvp_of_tuples_and_nests():
    y, tangent = tg.jvp(
        lambda x, y: {"product": x * y, "sum": [x + y]}, (x64(), x64(X + 2)), (x64(X + 5), x64(X - 1))
    )
    near(y["product"], X * (X + 2))
    near(tangent["product"], (X + 5) * (X + 2) + X * (X - 1))
    near(tangent["sum"][0], 2 * X + 4)


def test_jvp_refuses_a_tangent_of_another_shape():
    with pytest.raises(tg.ShapeError, match="tangent"):
        tg.jvp(tg.sin, x64(), x64(1.0))


def test_hvp_is_the_hessian_times_v():
    def f(x):
        return (tg.exp(x) * tg.sum(x * x)).sum()

    v = np.array([1.0, -2.0, 0.5])
    near(tg.hvp(f, x64(), x64(v)), tg.hessian(f)(x64()).numpy() @ v, rtol=1e-11)
    by_x, by_y = tg.hvp(lambda x, y: (x * x * y).sum(), (x64(), x64(X + 2)), (x64(v), x64(v + 1)))
    near(by_x, 2 * (X + 2) * v + 2 * X * (v + 1))
    near(by_y, 2 * X * v)


# -- jacobian, hessian ---------------------------------------------------------------------------------------


@pytest.mark.both_backends
def test_jacobian_has_the_shapes_of_both():
    w = np.arange(6.0).reshape(2, 3)
    near(tg.jacobian(lambda x: tg.tensor(w) @ x)(x64()), w)
    turned = tg.jacobian(lambda x: tg.sin(x).T)(x64(w))
    assert turned.shape == (3, 2, 2, 3)
    near(turned, np.einsum("ij,ik,jl->jikl", np.cos(w), np.eye(2), np.eye(3)))
    assert tg.jacobian(lambda x: x[:0])(x64()).shape == (0, 3)
    near(tg.jacobian(lambda x, y: x * y, 1)(x64(), x64(X + 1)), np.diag(X))


def test_jacobian_of_a_jacobian():
    second = tg.jacobian(tg.jacobian(lambda x: x**3))(x64())
    near(second, np.einsum("i,ij,ik->ijk", 6 * X, np.eye(3), np.eye(3)))


def test_hessian_of_a_quadratic_form():
    a = np.array([[2.0, 1.0, 0.0], [0.5, 3.0, 1.0], [0.0, 1.0, 1.0]])
    near(tg.hessian(lambda x: x @ tg.tensor(a) @ x)(x64()), a + a.T)


# -- gradients -----------------------------------------------------------------------------------------------


def test_gradients_at_intermediates_and_unused():
    x, unused = x64(requires_grad=True), x64(requires_grad=True)
    middle = tg.sin(x)
    loss = (middle**2).sum()
    at = tg.gradients(loss, {"middle": middle, "rest": [x, unused]})
    near(at["middle"], 2 * np.sin(X))
    near(at["rest"][0], 2 * np.sin(X) * np.cos(X))
    near(at["rest"][1], 0 * X)
    assert x.grad is None


def test_gradients_of_the_output_itself_and_of_several_outputs():
    x = x64(requires_grad=True)
    y = x * 2
    near(tg.gradients(y, y, grad_outputs=x64()), X)
    near(
        tg.gradients([y, x * x], x, grad_outputs=[x64([1, 1, 1]), x64([1, 0, 2])]),
        2 + 2 * X * np.array([1, 0, 2]),
    )


def test_gradients_create_graph():
    x = x64(requires_grad=True)
    slope = tg.gradients((x**3).sum(), x, create_graph=True)
    near(tg.gradients(slope.sum(), x), 6 * X)
    assert not tg.gradients((x**3).sum(), x).requires_grad


def test_gradients_refuses_what_cannot_be():
    x = x64(requires_grad=True)
    with pytest.raises(tg.TapeError, match="requires_grad"):
        tg.gradients(x.sum(), x64())
    with pytest.raises(tg.ShapeError, match="residuals"):
        tg.gradients([x.sum()], x, grad_outputs=[x64(1.0), x64(1.0)])
    with pytest.raises(tg.ShapeError, match="grad"):
        tg.gradients(x * 2, x)


def test_backward_create_graph_adds_up():
    x = x64(requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    x.grad.sum().backward()
    near(x.grad, 3 * X**2 + 6 * X)


# -- checkpoint ----------------------------------------------------------------------------------------------


def test_checkpoint_changes_no_number():
    w = x64(X + 1, requires_grad=True)

    def layer(x):
        return tg.tanh(x * w)

    def deep(x):
        return tg.checkpoint(lambda y: layer(tg.checkpoint(layer)(y)))(x)

    def plain(x):
        return layer(layer(x))

    x = x64(requires_grad=True)
    near(deep(x), plain(x).numpy(), rtol=0, atol=0)
    for f in (deep, plain):
        x.grad = w.grad = None
        (f(x) ** 2).sum().backward()
        if f is deep:
            expected = x.grad.numpy(), w.grad.numpy()
    near(x.grad, expected[0])
    near(w.grad, expected[1])


def test_checkpoint_to_second_order_and_forward():
    w = x64(X + 1)

    def layer(x):
        return tg.tanh(x * w) * x

    def loss(f):
        return lambda x: (f(x) ** 2).sum()

    near(tg.hessian(loss(tg.checkpoint(layer)))(x64()), tg.hessian(loss(layer))(x64()).numpy())
    near(tg.jvp(tg.checkpoint(layer), x64(), x64(X + 2))[1], tg.jvp(layer, x64(), x64(X + 2))[1].numpy())
    near(
        tg.hvp(loss(tg.checkpoint(layer)), x64(), x64(X + 2)), tg.hvp(loss(layer), x64(), x64(X + 2)).numpy()
    )


def test_checkpoint_of_nests_and_constants():
    f = tg.checkpoint(lambda state, scale: {"h": state["h"] * scale, "c": state["c"] ** 2})
    x = x64(requires_grad=True)
    y = f({"h": x, "c": x * 2}, 3.0)
    (y["h"] + y["c"]).sum().backward()
    near(x.grad, 3 + 8 * X)
    with tg.no_grad():
        assert not f({"h": x, "c": x}, 1.0)["h"].requires_grad
