"""The tape, against jax.grad over random expressions, and its errors."""

import gc
import itertools
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dl_jax.autograd import Tensor, no_grad

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


# Every operation, written once for tensors and once for JAX's arrays.
UNARY = {
    "exp": (lambda x: (x * 0.3).exp(), lambda x: jnp.exp(x * 0.3)),
    "log": (lambda x: (x * x + 1).log(), lambda x: jnp.log(x * x + 1)),
    "relu": (lambda x: x.relu(), jax.nn.relu),
    "tanh": (lambda x: x.tanh(), jnp.tanh),
    "sigmoid": (lambda x: x.sigmoid(), jax.nn.sigmoid),
    "negative": (lambda x: -x, lambda x: -x),
    "cube": (lambda x: x**3, lambda x: x**3),
    "root": (lambda x: (x**2 + 1) ** 0.5, lambda x: jnp.sqrt(x**2 + 1)),
    "power of two": (lambda x: 2.0**x, lambda x: 2.0**x),
    "reciprocal": (lambda x: 1 / (x**2 + 1), lambda x: 1 / (x**2 + 1)),
    "from one": (lambda x: 1.0 - x, lambda x: 1 - x),
    "transpose": (lambda x: x.transpose(), lambda x: x.T),
    "flatten": (lambda x: x.reshape(-1), lambda x: x.reshape(-1)),
    "column": (lambda x: x.reshape(-1, 1), lambda x: x.reshape(-1, 1)),
    "rows twice": (lambda x: x[[0, 0, -1]], lambda x: x[jnp.array([0, 0, -1])]),
    "reversed": (lambda x: x[::-1], lambda x: x[::-1]),
    "mean kept": (lambda x: x.mean(0, keepdims=True), lambda x: x.mean(0, keepdims=True)),
    "sum of last": (lambda x: x.sum(-1), lambda x: x.sum(-1)),
    "max of first": (lambda x: x.max(0), lambda x: x.max(0)),
    "max kept": (lambda x: x.max(-1, keepdims=True), lambda x: x.max(-1, keepdims=True)),
}
BINARY = {
    "add": (lambda a, b: a + b,) * 2,
    "subtract": (lambda a, b: a - b,) * 2,
    "multiply": (lambda a, b: a * b,) * 2,
    "divide": (lambda a, b: a / (b * b + 1),) * 2,
    "outer": (
        lambda a, b: a.reshape(-1, 1) @ b.reshape(1, -1),
        lambda a, b: a.reshape(-1, 1) @ b.reshape(1, -1),
    ),
    "inner": (
        lambda a, b: a.transpose() @ (a * b.mean()),
        lambda a, b: a.T @ (a * b.mean()),
    ),
}
STARTS = [(3, 4), (1, 4), (3, 1), (4,), ()]


@st.composite
def programs(draw):
    """Steps of an expression: an operation and the places of its operands among what there is."""
    steps = []
    for count in range(len(STARTS), len(STARTS) + draw(st.integers(1, 8))):
        place = st.integers(0, count - 1)
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from(sorted(UNARY))), draw(place)))
        else:
            steps.append((draw(st.sampled_from(sorted(BINARY))), draw(place), draw(place)))
    return steps


def run(steps, values, which):
    """Sum of squashed results; a step that its operands do not allow is left out."""
    values = list(values)
    for name, *places in steps:
        operands = [values[place] for place in places]
        function = (UNARY if len(places) == 1 else BINARY)[name][which]
        scalar = any(len(operand.shape) == 0 for operand in operands)
        needs_axes = name in ("rows twice", "reversed", "mean kept", "sum of last", "max of first",
                              "max kept", "inner")  # fmt: skip
        if scalar and needs_axes:
            result = operands[0] * 0.5
        else:
            try:
                result = function(*operands)
            except (ValueError, TypeError):  # shapes that do not fit, the same for both
                result = operands[0] * 0.5
        values.append(result * 0.5)  # lest it grows without bound
    total = 0.0
    for value in values:
        total = total + (value.tanh() if which == 0 else jnp.tanh(value)).sum()
    return total


@settings(deadline=None, max_examples=60)
@given(programs(), st.integers(0, 10_000))
def test_gradients_of_random_expressions_are_those_of_jax(steps, seed):
    random = np.random.default_rng(seed)
    starts = [random.normal(size=shape) for shape in STARTS]
    tensors = [Tensor(start, requires_grad=True) for start in starts]
    result = run(steps, tensors, 0)
    result.backward()

    def function(starts):
        return run(steps, starts, 1)

    value, expected = jax.value_and_grad(function)([jnp.asarray(start) for start in starts])
    np.testing.assert_allclose(result.value, value, rtol=1e-9)
    for tensor, gradient in zip(tensors, expected, strict=True):
        assert tensor.grad.shape == tensor.shape
        np.testing.assert_allclose(tensor.grad, gradient, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((5, 3, 4), (4, 2)),
     ((1, 3, 4), (5, 4, 2)), ((5, 3, 4), (4,)), ((4,), (5, 4, 2))],
)  # fmt: skip
def test_matrix_products_of_all_ranks(a, b):
    arrays = RNG.normal(size=a), RNG.normal(size=b)
    x, y = (Tensor(array, requires_grad=True) for array in arrays)
    (x @ y).tanh().sum().backward()
    expected = jax.grad(lambda x, y: jnp.tanh(x @ y).sum(), (0, 1))(*map(jnp.asarray, arrays))
    np.testing.assert_allclose(x.grad, expected[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(y.grad, expected[1], rtol=1e-9, atol=1e-12)


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


def test_ten_thousand_operations_do_not_overflow_the_stack():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + x * 0.5
    y.backward()
    assert x.grad == 5001


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
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)),
     ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4))],
)  # fmt: skip
def test_matrix_products_are_those_of_jax(left, right):
    values = RNG.normal(size=left), RNG.normal(size=right)
    a, b = (Tensor(value, requires_grad=True) for value in values)
    y = a @ b
    y.tanh().sum().backward()
    np.testing.assert_allclose(y.value, values[0] @ values[1])
    expected = jax.grad(lambda a, b: jnp.tanh(a @ b).sum(), (0, 1))(*map(jnp.asarray, values))
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
    """Two spirals of points that no line parts; tanh and sigmoid, plain gradient descent."""
    random = np.random.default_rng(0)
    angle = np.linspace(0.5, 3 * np.pi, 60)
    arm = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1) / 9
    points = np.concatenate([arm, -arm])
    labels = np.repeat([0.0, 1.0], 60)[:, None]
    sizes = (2, 24, 24, 1)
    weights = [
        Tensor(random.normal(size=shape) * 1.5 / shape[0] ** 0.5, requires_grad=True)
        for shape in itertools.pairwise(sizes)
    ]
    biases = [Tensor(np.zeros(n), requires_grad=True) for n in sizes[1:]]

    def predict():
        x = Tensor(3 * points)
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = (x @ weight + bias).tanh()
        return (x @ weights[-1] + biases[-1]).sigmoid()

    momenta = [np.zeros(p.shape) for p in weights + biases]
    for _ in range(1500):
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
