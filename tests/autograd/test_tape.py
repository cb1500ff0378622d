"""The tape, against jax.grad over random expressions, and its errors."""

import gc
import itertools
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dl_jax.autograd import Tensor, no_grad
from tests.autograd.expressions import BINARY, STARTS, UNARY, programs, run

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


def test_values_and_gradients_of_each_operation_are_those_of_jax():
    """Each alone, or with its operands in both places; JAX's program is compiled once for all."""
    arrays = RNG.normal(size=(2, 3, 4))
    programs = [[(name, 0)] for name in UNARY] + [[(name, 0, 1)] for name in BINARY]
    reference = jax.jit(
        lambda arrays: [jax.value_and_grad(lambda a, p=p: run(p, a, 1))(arrays) for p in programs]
    )
    for program, (value, gradients) in zip(programs, reference([*arrays]), strict=True):
        tensors = [Tensor(array, requires_grad=True) for array in arrays]
        result = run(program, tensors, 0)
        result.backward()
        np.testing.assert_allclose(result.value, value, rtol=1e-9)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            np.testing.assert_allclose(tensor.grad, gradient, rtol=1e-7, atol=1e-9)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 10_000))
def test_gradients_of_random_expressions_are_those_of_jax(steps, seed):
    random = np.random.default_rng(seed)
    starts = [random.normal(size=shape) for shape in STARTS]
    tensors = [Tensor(start, requires_grad=True) for start in starts]
    result = run(steps, tensors, 0)
    result.backward()

    def function(starts):
        return run(steps, starts, 1)

    value, expected = jax.jit(jax.value_and_grad(function))(starts)
    np.testing.assert_allclose(result.value, value, rtol=1e-9)
    for tensor, gradient in zip(tensors, expected, strict=True):
        assert tensor.grad.shape == tensor.shape
        np.testing.assert_allclose(tensor.grad, gradient, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1,)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_reductions(name, axis, keepdims):
    array = RNG.normal(size=(2, 3, 4))
    x = Tensor(array, requires_grad=True)
    y = getattr(x, name)(axis, keepdims=keepdims)
    (y * y).sum().backward()

    def function(x):
        return (getattr(x, name)(axis, keepdims=keepdims) ** 2).sum()

    np.testing.assert_allclose(y.value, getattr(array, name)(axis, keepdims=keepdims))
    np.testing.assert_allclose(x.grad, jax.grad(function)(jnp.asarray(array)), rtol=1e-9)


def test_indexing_of_all_kinds():
    array, weights = RNG.normal(size=(3, 4, 5)), RNG.normal(size=(2, 3, 5))
    x = Tensor(array, requires_grad=True)
    rows, columns = np.array([[0, 1, 1], [2, 2, 0]]), np.array([[0, 3, 3], [1, 1, 0]])
    ((x[rows, columns] * weights).sum() + x[1, ::2].sum() + x[..., None].sum() * 0).backward()

    def function(x):
        return (x[rows, columns] * weights).sum() + x[1, ::2].sum()

    np.testing.assert_allclose(x.grad, jax.grad(function)(jnp.asarray(array)), rtol=1e-9)


def test_transposes():
    array = RNG.normal(size=(2, 3, 4))
    for axes in ((), (2, 0, 1), (0, -1, 1)):
        x, weights = (
            Tensor(array, requires_grad=True),
            RNG.normal(size=array.transpose(*axes).shape),
        )
        (x.transpose(*axes) * weights).sum().backward()
        back = np.argsort([axis % 3 for axis in axes]) if axes else None
        np.testing.assert_allclose(x.grad, weights.transpose(back))


def test_gradients_add_up_over_calls():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [5.0, 7.0])


def test_backward_takes_a_cotangent():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad, [2.0, 40.0])


def test_more_operations_than_python_recurses_do_not_overflow_the_stack():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(sys.getrecursionlimit() + 100):
        y = y + x
    y.backward()
    assert x.grad == 1 + sys.getrecursionlimit() + 100


def test_each_tensor_of_a_graph_is_visited_once():
    """Each tensor is used twice: as many paths as 2^60, and sixty steps."""
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_nothing_is_recorded_in_no_grad():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with no_grad():
        y = (x * x).sum()
        with no_grad():
            pass
        assert not (x * 2).requires_grad
    assert not y.requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="backward from a constant"):
        y.backward()


def test_backward_frees_the_graph():
    x = Tensor(np.ones(3), requires_grad=True)
    middle = x * 2
    gone = weakref.ref(middle)
    result = middle.sum()
    del middle
    gc.collect()
    assert gone() is not None
    result.backward()
    gc.collect()
    assert gone() is None


def test_a_second_backward_is_an_error():
    x = Tensor([1.0, 2.0], requires_grad=True)
    middle = x * x
    y = middle.sum()
    y.backward()
    with pytest.raises(RuntimeError, match="already used by backward"):
        y.backward()
    with pytest.raises(RuntimeError, match="already used by backward"):
        middle * 2


def test_two_results_of_one_graph():
    x = Tensor([1.0, 2.0], requires_grad=True)
    middle = x * x
    first, second = middle.sum(), (middle * 3).sum()
    first.backward()
    with pytest.raises(RuntimeError, match="already used by backward"):
        second.backward()


def test_a_cycle_is_an_error():
    x = Tensor(1.0, requires_grad=True)
    y = x * 2
    z = y + 1
    y._sources = ((z, lambda g: g),)
    with pytest.raises(RuntimeError, match="the graph has a cycle"):
        z.backward()


def test_errors_name_types_and_shapes():
    with pytest.raises(TypeError, match="a tensor of type int64 has no derivative"):
        Tensor([1, 2], requires_grad=True)
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"shape \(2,\) needs a cotangent"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"cotangent has shape \(3,\), expected \(2,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(ValueError, match="needs at least one axis on each side"):
        Tensor(2.0) @ x


def test_arrays_and_numbers_on_the_left():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = np.array([3.0, 4.0]) * x + 2 - x / np.array([2.0, 2.0]) + np.array([[1.0], [1.0]])
    assert isinstance(y, Tensor)
    assert y.shape == (2, 2)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [5.0, 7.0])


def test_data_times_weights():
    data, weights = np.arange(6.0).reshape(2, 3), Tensor(np.ones((3, 4)), requires_grad=True)
    y = data @ weights
    assert isinstance(y, Tensor)
    y.sum().backward()
    np.testing.assert_array_equal(weights.grad, np.repeat([[3.0], [5.0], [7.0]], 4, axis=1))


@pytest.mark.parametrize(
    ("left", "right"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)),
     ((3,), (5, 3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4))],
)  # fmt: skip
def test_matrix_products_of_all_ranks_are_those_of_jax(left, right):
    values = RNG.normal(size=left), RNG.normal(size=right)
    a, b = (Tensor(value, requires_grad=True) for value in values)
    y = a @ b
    y.tanh().sum().backward()
    np.testing.assert_allclose(y.value, values[0] @ values[1])
    expected = jax.jit(jax.grad(lambda a, b: jnp.tanh(a @ b).sum(), (0, 1)))(*values)
    for tensor, gradient in zip((a, b), expected, strict=True):
        np.testing.assert_allclose(tensor.grad, gradient, rtol=1e-7, atol=1e-9)


def test_a_new_value_after_the_forward_pass_does_not_change_the_derivative():
    """A parameter may get its new value before another result is differentiated."""
    x, y = (Tensor(2.0, requires_grad=True) for _ in range(2))
    result = x * x * y + x / y + x**3 + x.log() + x.relu()
    x.value, y.value = np.array(5.0), np.array(7.0)
    result.backward()
    np.testing.assert_allclose(x.grad, 8 + 1 / 2 + 12 + 1 / 2 + 1)
    np.testing.assert_allclose(y.grad, 4 - 2 / 4)


def test_gradients_do_not_share_memory():
    a, b = (Tensor(np.ones(3, np.float32), requires_grad=True) for _ in range(2))
    cotangent = np.ones(3, np.float32)
    (a + b).backward(cotangent)
    a.grad *= 0
    np.testing.assert_array_equal(b.grad, 1)
    np.testing.assert_array_equal(cotangent, 1)


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_gradients_of_reductions_keep_float32(name):
    x = Tensor(np.arange(3, dtype=np.float32), requires_grad=True)
    y = 0.5 * getattr(x, name)() ** 2 + 1
    y.backward()
    assert y.value.dtype == x.grad.dtype == np.float32


def test_an_mlp_is_trained():
    """A ring around a disk, which no line parts; tanh and sigmoid, descent with momentum."""
    random = np.random.default_rng(0)
    angle, labels = np.linspace(0, 4 * np.pi, 40), np.repeat([[0.0], [1.0]], 20, 0)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * (0.5 + labels)
    sizes = (2, 8, 1)
    weights = [
        Tensor(random.normal(size=shape), requires_grad=True) for shape in itertools.pairwise(sizes)
    ]
    biases = [Tensor(np.zeros(n), requires_grad=True) for n in sizes[1:]]

    def predict():
        hidden = (Tensor(points) @ weights[0] + biases[0]).tanh()
        return (hidden @ weights[1] + biases[1]).sigmoid()

    momenta = [np.zeros(p.shape) for p in weights + biases]
    for _ in range(150):
        p = predict()
        loss = -(labels * (p + 1e-9).log() + (1 - labels) * (1 - p + 1e-9).log()).mean()
        loss.backward()
        for i, parameter in enumerate(weights + biases):
            momenta[i] = 0.9 * momenta[i] + parameter.grad
            parameter.value = parameter.value - 0.1 * momenta[i]
            parameter.grad = None
    with no_grad():
        accuracy = ((predict().value > 0.5) == labels).mean()
    assert accuracy >= 0.98


@pytest.mark.parametrize(("base", "exponent"), [(0.0, 0.0), (0.0, 2.0), (0.0, 1.0), (3.0, 0.0)])
def test_derivatives_of_powers_at_zero_are_those_of_torch(base: float, exponent: float):
    torch = pytest.importorskip("torch")
    x, n = (Tensor(value, requires_grad=True) for value in (base, exponent))
    (x**n).backward()
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (base, exponent))
    (a**b).backward()
    assert (x.grad, n.grad) == (a.grad.item(), b.grad.item())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_of_very_negative_numbers_is_accurate(dtype):
    x = np.array([-20.0, -40.0, -80.0, 0.0, 40.0], dtype)
    actual = Tensor(x).sigmoid().value
    assert actual.dtype == dtype
    expected = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    np.testing.assert_allclose(actual, expected.astype(dtype), rtol=8 * np.finfo(dtype).eps)


def test_a_gradient_has_the_type_of_its_leaf():
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    (x * np.float64(2) * Tensor(np.ones(3))).sum().backward()
    assert x.grad.dtype == np.float32


def test_relu_passes_the_gradient_of_nan():
    x = Tensor([np.nan, -1.0, 0.0, 1.0], requires_grad=True)
    x.relu().sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 0, 1])


def test_the_derivative_of_a_zeroth_power_is_zero_at_infinity_too():
    x = Tensor([np.inf, -2.0, 0.0], requires_grad=True)
    (x**0).sum().backward()
    np.testing.assert_array_equal(x.grad, 0)
