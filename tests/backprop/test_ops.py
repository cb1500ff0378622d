"""Every operation: its function is the library's, its derivative is JAX's, in float64 to 1e-10."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax import backprop, functional
from dl_jax.backprop import Op, differentiable
from dl_jax.errors import UsageError
from dl_jax.shape_checks import TypeCheckError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def carry_of(*shape):
    return normal(*shape), normal(*shape)


def cells(parts):
    return {
        "input": {"kernel": normal(3, 4 * parts), "bias": normal(4 * parts)},
        "hidden": {"kernel": normal(4, 4 * parts), "bias": normal(4 * parts)},
    }


def scanned(cell):
    return lambda params, carry, x: functional.scan_cell(cell, params, carry, x)


MASK = functional.causal_mask(5) & functional.padding_mask(jnp.array([3, 5]), 5)
IMAGE, KERNEL = (2, 7, 6, 3), (3, 2, 3, 4)
X = normal(4, 6)

OPS = {
    "dense": (backprop.dense(), functional.dense, (X, normal(6, 3), normal(3))),
    "dense on sequences": (
        backprop.dense(), functional.dense, (normal(2, 5, 6), normal(6, 3), normal(3)),
    ),
    "embed": (
        backprop.embed(), functional.embed, (jnp.array([[0, 3, 3], [1, 0, 3]]), normal(5, 4)),
    ),
    "flatten": (backprop.flatten(), lambda x: x.reshape(2, -1), (normal(*IMAGE),)),
    "leaky_relu 0.3": (
        backprop.leaky_relu(0.3), lambda x: functional.leaky_relu(x, negative_slope=0.3), (X,),
    ),
    "elu 2": (backprop.elu(2.0), lambda x: functional.elu(x, alpha=2.0), (X,)),
    "l2_loss": (
        backprop.l2_loss(), lambda p, t: optax.l2_loss(p, t).sum(-1), (X, normal(4, 6)),
    ),
    "huber_loss": (
        backprop.huber_loss(0.7),
        lambda p, t: optax.huber_loss(p, t, delta=0.7).sum(-1),
        (X, normal(4, 6)),
    ),
    "binary_cross_entropy": (
        backprop.binary_cross_entropy(),
        optax.sigmoid_binary_cross_entropy,
        (normal(9), jnp.asarray(RNG.uniform(size=9))),
    ),
    "cross_entropy": (
        backprop.cross_entropy(),
        optax.softmax_cross_entropy_with_integer_labels,
        (X, jnp.array([0, 5, 2, 2])),
    ),
    "batch_norm": (
        backprop.batch_norm(),
        lambda x, s, b: functional.batch_norm(x, s, b, 0 * s, s, train=True)[0],
        (normal(8, 6), normal(6), normal(6)),
    ),
    "batch_norm of images": (
        backprop.batch_norm(),
        lambda x, s, b: functional.batch_norm(x, s, b, 0 * s, s, train=True)[0],
        (normal(*IMAGE), normal(3), normal(3)),
    ),
    "layer_norm": (
        backprop.layer_norm(), functional.layer_norm, (normal(2, 5, 6), normal(6), normal(6)),
    ),
    "rnn": (
        backprop.rnn(), scanned(functional.rnn_cell), (cells(1), normal(2, 4), normal(2, 5, 3)),
    ),
    "lstm": (
        backprop.lstm(), scanned(functional.lstm_cell), (cells(4), carry_of(2, 4), normal(2, 5, 3)),
    ),
    "attention": (
        backprop.attention(),
        functional.dot_product_attention,
        (normal(2, 5, 3, 4), normal(2, 7, 3, 4), normal(2, 7, 3, 6)),
    ),
    "masked attention": (
        backprop.attention(MASK),
        lambda q, k, v: functional.dot_product_attention(q, k, v, mask=MASK),
        (normal(2, 5, 3, 4), normal(2, 5, 3, 4), normal(2, 5, 3, 6)),
    ),
}  # fmt: skip
for name in (
    "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "softmax",
    "log_softmax",
):  # fmt: skip
    OPS[name] = getattr(backprop, name)(), getattr(functional, name), (3 * X,)
for stride, padding in ((1, "SAME"), (2, "SAME"), (1, "VALID"), ((2, 3), 1), (1, ((0, 2), (1, 0)))):
    options = {"stride": stride, "padding": padding}
    OPS[f"conv2d {stride} {padding}"] = (
        backprop.conv2d(**options),
        lambda *a, o=options: functional.conv2d(*a, **o),
        (normal(*IMAGE), normal(*KERNEL), normal(4)),
    )
    OPS[f"conv2d_transpose {stride} {padding}"] = (
        backprop.conv2d_transpose(**options),
        lambda *a, o=options: functional.conv2d_transpose(*a, **o),
        (normal(*IMAGE), normal(*KERNEL), normal(4)),
    )
OPS["conv2d_transpose 4 VALID"] = (
    backprop.conv2d_transpose(4, "VALID"),
    lambda *a: functional.conv2d_transpose(*a, stride=4, padding="VALID"),
    (normal(*IMAGE), normal(*KERNEL), normal(4)),
)
for window, stride, padding in ((2, None, "VALID"), (3, 2, "SAME"), ((3, 2), (1, 2), 1)):
    for kind in ("max_pool", "avg_pool"):
        OPS[f"{kind} {window} {stride} {padding}"] = (
            getattr(backprop, kind)(window, stride, padding),
            lambda x, k=kind, w=window, s=stride, p=padding: getattr(functional, k)(
                x, w, stride=s, padding=p
            ),
            (normal(*IMAGE),),
        )

each = pytest.mark.parametrize(("op", "reference", "operands"), OPS.values(), ids=OPS)


def in_double(tree):
    """The operands, which were made before the tests run in float64."""
    cast = {jnp.dtype("float32"): jnp.float64}
    return jax.tree.map(lambda leaf: leaf.astype(cast.get(leaf.dtype, leaf.dtype)), tree)


def is_differentiated(operand):
    return all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(operand))


def cotangent_like(tree):
    return jax.tree.map(
        lambda leaf: jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape), tree
    )


def close(actual, expected):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, jnp.float64)
        scale = max(1.0, float(jnp.abs(e).max()))
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-10 * scale)


@each
def test_function_and_derivative_are_those_of_the_library_and_jax(op: Op, reference, operands):
    """By its own backward pass, called alone and by JAX, all compiled as one program."""
    operands = in_double(operands)
    real = [i for i, leaf in enumerate(operands) if is_differentiated(leaf)]

    def of_real(function, *chosen):
        everything = dict(enumerate(operands)) | dict(zip(real, chosen, strict=True))
        return function(*everything.values())

    @jax.jit
    def everything(operands):
        y, residuals = op.forward(*operands)
        g = cotangent_like(y)
        chosen = [operands[i] for i in real]
        results = [(y, op.backward(residuals, g))]
        for function in (differentiable(op), reference):
            y, pull = jax.vjp(partial(of_real, function), *chosen)
            results.append((y, pull(g)))
        return results

    (y, gradients), through_jax, expected = everything(operands)
    assert len(gradients) == len(operands)
    ours = y, [gradients[i] for i in real if gradients[i] is not None]
    known = [n for n, i in enumerate(real) if gradients[i] is not None]
    for actual in (ours, (through_jax[0], [through_jax[1][n] for n in known])):
        close(actual, (expected[0], [expected[1][n] for n in known]))


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_dropout(rate):
    x, key = normal(40, 50), jax.random.key(0)
    y, factor = backprop.dropout(rate).forward(x, key)
    kept = y != 0
    assert abs(float(kept.mean()) - (1 - rate)) < 0.05
    close(y[kept], x[kept] / (1 - rate))
    dx, none = backprop.dropout(rate).backward(factor, jnp.ones_like(x))
    assert none is None
    close(dx, jnp.where(kept, 1 / (1 - rate), 0.0))


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extremes_have_finite_derivatives(size):
    for name in ("binary_cross_entropy", "cross_entropy"):
        op = getattr(backprop, name)()
        x = jnp.array([[size, 0.0, -size]])
        operands = (x, jnp.array([2])) if name == "cross_entropy" else (x[0], jnp.zeros(3))
        losses, residuals = op.forward(*operands)
        assert jnp.isfinite(losses).all()
        assert jnp.isfinite(op.backward(residuals, jnp.ones_like(losses))[0]).all()


def test_a_label_outside_the_classes_gives_nan():
    op = backprop.cross_entropy()
    losses, residuals = op.forward(jnp.zeros((3, 5)), np.array([-1, 4, 7], np.int8))
    assert jnp.isnan(losses).tolist() == [True, False, True]
    gradient = op.backward(residuals, jnp.ones(3))[0]
    assert jnp.isnan(gradient).all(1).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (backprop.max_pool(2, 2, 2), "contains only padding"),
        (backprop.avg_pool(2, 2, ((0, 3), (0, 0))), "contains only padding"),
        (backprop.max_pool(5), "does not fit an image"),
        (backprop.avg_pool((1, 5)), "does not fit an image"),
    ],
)
def test_windows_that_do_not_fit_are_refused(op, said):
    with pytest.raises(ValueError, match=said):
        op.forward(jnp.ones((1, 4, 4, 1)))


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="reaches over 5 pixels of width, the padded image has 4"):
        backprop.conv2d(padding="VALID").forward(
            jnp.ones((1, 4, 4, 1)), jnp.ones((3, 5, 1, 1)), jnp.ones(1)
        )


@pytest.mark.parametrize(
    ("make", "value"),
    [(backprop.dropout, 1.5), (backprop.huber_loss, 0.0), (backprop.huber_loss, -1.0)],
)
def test_numbers_out_of_range_are_refused(make, value):
    with pytest.raises(UsageError, match=f"is {value}, expected"):
        make(value)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(TypeCheckError, match="parameter 'targets'"):
        backprop.l2_loss().forward(jnp.ones((4, 1)), jnp.ones((1, 4)))
