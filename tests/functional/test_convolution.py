"""The convolution and its derivatives, against XLA's own, torch's and Flax's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import PartitionSpec as P

from dl_jax.functional import conv2d
from dl_jax.functional.windows import resolve_padding


def native(x, kernel, bias=None, *, stride=1, padding="SAME", dilation=1, groups=1):
    """XLA's convolution with JAX's rules for derivatives and `vmap`: the reference."""

    def pair(value):
        return (value, value) if isinstance(value, int) else tuple(value)

    if not isinstance(padding, str):
        padding = [pair(side) for side in pair(padding)]
    y = lax.conv_general_dilated(
        x,
        kernel,
        pair(stride),
        padding,
        rhs_dilation=pair(dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def close(actual, expected, tolerance=2e-5):
    """Trees equal to `tolerance` of the largest element expected."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        assert a.dtype == e.dtype
        scale = max(1.0, float(np.abs(np.asarray(e, np.float32)).max(initial=0)))
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(e, np.float32), rtol=0, atol=tolerance * scale
        )


def value_and_gradients(function, x, kernel, bias, options):
    """The output and the three gradients along a fixed, uneven cotangent."""

    @jax.jit
    def both(x, kernel, bias):
        y, pull = jax.vjp(lambda *a: function(*a, **options), x, kernel, bias)
        cotangent = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return y, pull(cotangent.astype(y.dtype))

    return both(x, kernel, bias)


sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))
positive_pairs = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))
pads = st.integers(0, 3)
paddings = st.one_of(
    st.sampled_from(["SAME", "VALID"]),
    pads,
    st.tuples(pads, pads),
    st.tuples(st.tuples(pads, pads), st.tuples(pads, pads)),
)


@st.composite
def convolutions(draw):
    """Shapes of an image and a kernel, and options under which they fit."""
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation, padding = draw(positive_pairs), draw(paddings)
    height, width = draw(sizes)
    if padding == "VALID" or not isinstance(padding, str):  # make the image large enough
        d = (dilation, dilation) if isinstance(dilation, int) else dilation
        height, width = (
            (w - 1) * i + s for w, i, s in zip(window, d, (height, width), strict=True)
        )
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = draw(st.integers(1, 4))
    outputs = groups * draw(st.integers(1, 3))
    x = (draw(st.integers(1, 3)), height, width, groups * per_group)
    options = {
        "stride": draw(positive_pairs),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    return x, (*window, per_group, outputs), options


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(convolutions())
def test_value_and_gradients_are_those_of_xla(case):
    image, window, options = case
    operands = normal(0, *image), normal(1, *window), normal(2, window[-1])
    close(
        value_and_gradients(conv2d, *operands, options),
        value_and_gradients(native, *operands, options),
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "VALID"},
        {"stride": 2},
        {"stride": (2, 3), "padding": ((0, 2), (1, 0))},
        {"dilation": 2, "padding": 2},
        {"dilation": (1, 2), "stride": 3, "padding": (0, 3)},
    ],
)
def test_value_and_gradients_on_both_paths(channels, options):
    """Images of one to three channels take the path of patches, wider ones do not."""
    operands = normal(0, 2, 9, 7, channels), normal(1, 3, 2, channels, 5), normal(2, 5)
    close(
        value_and_gradients(conv2d, *operands, options),
        value_and_gradients(native, *operands, options),
    )


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), (2, 1, 1, 1), ((2, 1), (2, 1), 1, 1), (1, 2, 2, 1), (1, 1, 1, 3), (2, 0, 2, 6)],
)
def test_value_and_gradients_are_those_of_torch(stride, padding, dilation, groups):
    torch = pytest.importorskip("torch")
    x, kernel, bias = normal(0, 2, 8, 9, 6), normal(1, 3, 3, 6 // groups, 12), normal(2, 12)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y, gradients = value_and_gradients(conv2d, x, kernel, bias, options)

    leaves = [
        torch.tensor(np.asarray(a.transpose(order)), requires_grad=True)
        for a, order in ((x, (0, 3, 1, 2)), (kernel, (3, 2, 0, 1)), (bias, (0,)))
    ]
    expected = torch.nn.functional.conv2d(*leaves, **options)
    cotangent = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
    expected.backward(torch.tensor(cotangent.transpose(0, 3, 1, 2).copy()))
    close(y, jnp.asarray(expected.detach().numpy().transpose(0, 2, 3, 1)))
    orders = (0, 2, 3, 1), (2, 3, 1, 0), (0,)
    close(
        gradients,
        tuple(
            jnp.asarray(leaf.grad.numpy().transpose(order))
            for leaf, order in zip(leaves, orders, strict=True)
        ),
    )


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 1)])
def test_takes_the_parameters_of_a_flax_layer(stride, dilation, groups):
    layer = linen.Conv(
        4,
        (3, 2),
        strides=stride,
        kernel_dilation=dilation,
        feature_group_count=groups,
        bias_init=linen.initializers.normal(),
    )
    x = normal(0, 2, 7, 6, 4)
    variables = layer.init(jax.random.key(0), x)
    y = conv2d(x, **variables["params"], stride=stride, dilation=dilation, groups=groups)
    close(y, layer.apply(variables, x))


@pytest.mark.parametrize("channels", [1, 4])
def test_bfloat16(channels):
    """Images in bfloat16 give bfloat16, close to float32; the kernel's gradient has its type."""
    x, kernel, bias = normal(0, 2, 8, 8, channels), normal(1, 3, 3, channels, 5), normal(2, 5)
    half = x.astype(jnp.bfloat16)
    y, (dx, dkernel, dbias) = value_and_gradients(conv2d, half, kernel, bias, {})
    assert (y.dtype, dx.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert (dkernel.dtype, dbias.dtype) == (jnp.float32, jnp.float32)
    expected, gradients = value_and_gradients(native, x, kernel, bias, {})
    close(y.astype(jnp.float32), expected, 2e-2)
    close((dx.astype(jnp.float32), dkernel, dbias), gradients, 2e-2)


def test_float32_image_and_bfloat16_kernel_give_float32():
    x, kernel = normal(0, 2, 4, 4, 4), normal(1, 3, 3, 4, 5, dtype=jnp.bfloat16)
    close(conv2d(x, kernel), native(x, kernel.astype(jnp.float32)))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize(
    ("image", "window", "options"),
    [
        ((1, 1, 1), (1, 1), {}),  # one pixel
        ((1, 5, 6), (5, 6), {"padding": "VALID"}),  # the kernel is as large as the image
        ((1, 2, 2), (4, 4), {}),  # and larger, with padding
        ((2, 6, 5), (1, 1), {"stride": 4}),  # pixels that no output sees
        ((0, 4, 4), (3, 3), {}),  # no images
        ((1, 3, 3), (2, 2), {"padding": 5}),  # outputs that see padding alone
    ],
)
def test_edges_of_the_space(channels, image, window, options):
    operands = normal(0, *image, channels), normal(1, *window, channels, 2), normal(2, 2)
    close(
        value_and_gradients(conv2d, *operands, options),
        value_and_gradients(native, *operands, options),
    )


def test_output_follows_the_formula_in_the_docstring():
    x, kernel, bias = normal(0, 1, 6, 6, 2), normal(1, 2, 2, 2, 3), normal(2, 3)
    y = np.asarray(conv2d(x, kernel, bias, stride=2, dilation=3, padding="VALID"))
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    for p in range(y.shape[1]):
        for q in range(y.shape[2]):
            patch = x[0, 2 * p : 2 * p + 4 : 3, 2 * q : 2 * q + 4 : 3]
            expected = np.einsum("ijc,ijco->o", patch, kernel) + np.asarray(bias)
            np.testing.assert_allclose(y[0, p, q], expected, rtol=1e-5, atol=1e-6)


# Higher derivatives.


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2}])
def test_second_derivatives(channels, options):
    """Of all four pairs of operands: the gradient of the gradient along a direction."""
    x, kernel = normal(0, 2, 6, 5, channels), normal(1, 3, 3, channels, 4)
    directions = normal(2, *x.shape), normal(3, *kernel.shape)

    def along(function):
        def scalar(x, kernel):
            return jnp.sum(jnp.tanh(function(x, kernel, **options)) ** 2)

        def slope(x, kernel):
            gradients = jax.grad(scalar, (0, 1))(x, kernel)
            return sum(jnp.vdot(g, d) for g, d in zip(gradients, directions, strict=True))

        return jax.jit(jax.grad(slope, (0, 1)))(x, kernel)

    close(along(conv2d), along(native), 5e-5)


def test_second_derivatives_in_groups():
    x, kernel = normal(0, 2, 5, 5, 4), normal(1, 3, 3, 2, 6)

    def along(function):
        def scalar(x, kernel):
            return jnp.sum(jnp.tanh(function(x, kernel, groups=2)) ** 2)

        def slope(x, kernel):
            return jnp.sum(jax.grad(scalar)(x, kernel) ** 2)

        return jax.jit(jax.grad(slope, (0, 1)))(x, kernel)

    close(along(conv2d), along(native), 5e-5)


def test_third_derivative():
    x, kernel = normal(0, 1, 4, 4, 2), normal(1, 2, 2, 2, 2)

    def third(function):
        def scalar(kernel):
            return jnp.sum(jnp.tanh(function(x, kernel)) ** 3)

        def second(kernel):
            return jnp.sum(jax.grad(scalar)(kernel) ** 2)

        return jax.jit(jax.grad(lambda k: jnp.sum(jax.grad(second)(k) ** 2)))(kernel)

    close(third(conv2d), third(native), 1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_of_a_gradient_penalty(channels):
    """As a WGAN-GP critic takes it: Gulrajani et al. (2017), equation 3."""
    x = normal(0, 3, 8, 8, channels)
    kernels = normal(1, 4, 4, channels, 4), normal(2, 4, 4, 4, 1)

    def penalty(function):
        def critic(kernels, x):
            h = function(x, kernels[0], stride=2)
            return jnp.sum(function(jnp.where(h > 0, h, 0.2 * h), kernels[1], stride=2))

        def of(kernels):
            gradients = jax.grad(critic, 1)(kernels, x)
            norms = jnp.sqrt(jnp.sum(gradients**2, (1, 2, 3)))
            return jnp.mean((norms - 1) ** 2)

        return jax.jit(jax.value_and_grad(of))(kernels)

    actual, expected = penalty(conv2d), penalty(native)
    close(actual, expected, 5e-5)
    assert min(float(jnp.abs(g).max()) for g in actual[1]) > 0


# Mapping.

RUNS = 3
MAPPED = {"images": (0, None), "kernels": (None, 0), "both": (0, 0), "last axes": (4, 4)}


def mapped_operands(axes, channels):
    """An image and a kernel with an axis of runs where `axes` says, and the runs one by one."""
    x, kernel = normal(0, 2, 6, 5, channels), normal(1, 3, 3, channels, 4)
    operands, runs = [], [[] for _ in range(RUNS)]
    for operand, axis in zip((x, kernel), axes, strict=True):
        each = [operand * (1 + i) + i for i in range(RUNS)]
        operands.append(operand if axis is None else jnp.stack(each, axis))
        for i in range(RUNS):
            runs[i].append(operand if axis is None else each[i])
    return operands, runs


def score(function):
    return lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel, stride=2)))


def stacked(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("axes", MAPPED.values(), ids=MAPPED)
def test_mapped_equals_a_loop(axes, channels):
    operands, runs = mapped_operands(axes, channels)

    def everything(x, kernel):
        gradients = jax.grad(score(conv2d), (0, 1))
        second = jax.grad(lambda x, k: jnp.sum(gradients(x, k)[0] ** 2), (0, 1))
        return conv2d(x, kernel), gradients(x, kernel), second(x, kernel)

    mapped = jax.jit(jax.vmap(everything, axes))(*operands)
    one = jax.jit(everything)
    close(mapped, stacked([one(*run) for run in runs]), 5e-5)


@pytest.mark.parametrize("axes", MAPPED.values(), ids=MAPPED)
def test_gradient_of_mapped_equals_that_of_a_loop(axes):
    operands, _ = mapped_operands(axes, 4)

    def total(x, kernel):
        return jnp.sum(jax.vmap(score(conv2d), axes)(x, kernel) ** 2)

    def loop(x, kernel):
        runs = range(RUNS)
        xs = [x if axes[0] is None else jnp.take(x, i, axes[0]) for i in runs]
        kernels = [kernel if axes[1] is None else jnp.take(kernel, i, axes[1]) for i in runs]
        return sum(score(native)(a, b) ** 2 for a, b in zip(xs, kernels, strict=True))

    close(
        jax.jit(jax.grad(total, (0, 1)))(*operands),
        jax.jit(jax.grad(loop, (0, 1)))(*operands),
        5e-5,
    )


def test_mapped_over_kernels_within_mapped_over_images():
    x, kernels = normal(0, 2, 1, 5, 5, 3), normal(1, 3, 3, 3, 3, 2)
    gradient = jax.grad(score(conv2d), (0, 1))
    nested = jax.vmap(jax.vmap(gradient, (None, 0)), (0, None))
    expected = stacked(
        [stacked([jax.grad(score(native), (0, 1))(a, k) for k in kernels]) for a in x]
    )
    close(jax.jit(nested)(x, kernels), expected, 5e-5)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("mapped", [(0, None), (None, 0)], ids=["images", "cotangents"])
def test_gradients_mapped_in_one_operand_equal_a_loop(mapped, channels):
    """A linear score has one cotangent for all images."""
    kernel = normal(2, 3, 3, channels, 4)
    xs, gs = normal(0, RUNS, 2, 6, 5, channels), normal(1, RUNS, 2, 6, 5, 4)

    def gradients(function):
        return lambda x, g: jax.vjp(function, x, kernel)[1](g)

    operands = [a[0] if axis is None else a for a, axis in zip((xs, gs), mapped, strict=True)]
    runs = [
        [a if axis is None else a[i] for a, axis in zip(operands, mapped, strict=True)]
        for i in range(RUNS)
    ]
    actual = jax.jit(jax.vmap(gradients(conv2d), mapped))(*operands)
    close(actual, stacked([gradients(native)(*run) for run in runs]), 5e-5)


def test_mapped_in_groups():
    x, kernels = normal(0, 3, 2, 5, 5, 4), normal(1, 3, 3, 3, 2, 6)
    mapped = jax.vmap(lambda x, k: conv2d(x, k, groups=2))(x, kernels)
    close(mapped, jnp.stack([native(a, k, groups=2) for a, k in zip(x, kernels, strict=True)]))


def test_mapped_over_kernels_is_no_grouped_convolution():
    """What `vmap` over seeds becomes by default costs ten times as much as the calls (on CPU)."""
    x, kernels = normal(0, 3, 2, 5, 5, 4), normal(1, 3, 3, 3, 4, 4)

    def groups(function):
        gradient = jax.vmap(jax.grad(score(function), (0, 1)))
        text = jax.jit(gradient).lower(x, kernels).as_text()
        counts = re.findall(r"(?:feature|batch)_group_count = (\d+)", text)
        return {int(count) for count in counts}

    assert groups(native) == {1, RUNS}  # the reference shows that this would be seen
    assert groups(conv2d) == {1}


# Inside other transformations.


@pytest.mark.parametrize("channels", [1, 4])
def test_under_remat(channels):
    x, kernel = normal(0, 2, 6, 5, channels), normal(1, 3, 3, channels, 4)
    remat = jax.checkpoint(score(conv2d))
    close(
        jax.jit(jax.grad(remat, (0, 1)))(x, kernel),
        jax.jit(jax.grad(score(native), (0, 1)))(x, kernel),
    )


@pytest.mark.parametrize("channels", [1, 4])
def test_inside_a_scan(channels):
    xs, kernel = normal(0, 3, 2, 4, 4, channels), normal(1, 3, 3, channels, channels) / 5

    def rolled(kernel):
        carry, ys = lax.scan(
            lambda c, x: (jnp.tanh(conv2d(c + x, kernel)), c.sum()), jnp.zeros(xs.shape[1:]), xs
        )
        return carry.sum() + (ys**2).sum()

    def loop(kernel):
        carry, total = jnp.zeros(xs.shape[1:]), 0.0
        for x in xs:
            total += carry.sum() ** 2
            carry = jnp.tanh(native(carry + x, kernel))
        return carry.sum() + total

    close(jax.jit(jax.value_and_grad(rolled))(kernel), jax.jit(jax.value_and_grad(loop))(kernel))


@pytest.mark.parametrize("channels", [1, 4])
def test_inside_shard_map(channels):
    """Images cut over eight devices, one kernel for all: gradients are those of one device."""
    assert jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x, kernel, bias = normal(0, 8, 6, 6, channels), normal(1, 3, 3, channels, 4), normal(2, 4)

    def mean(x, kernel, bias):
        return jnp.mean(jnp.tanh(conv2d(x, kernel, bias, stride=2)) ** 2)

    @jax.jit
    @jax.shard_map(
        mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=(P(), (P("data"), P(), P()))
    )
    def spread(x, kernel, bias):
        def local(x, kernel, bias):
            return lax.pmean(mean(x, kernel, bias), "data")

        return jax.value_and_grad(local, (0, 1, 2))(x, kernel, bias)

    def reference(x, kernel, bias):
        return jnp.mean(jnp.tanh(native(x, kernel, bias, stride=2)) ** 2)

    close(spread(x, kernel, bias), jax.value_and_grad(reference, (0, 1, 2))(x, kernel, bias), 2e-6)


# Requests that cannot be carried out.


@pytest.mark.parametrize(
    ("image", "window", "options", "said"),
    [
        ((1, 4, 4, 3), (3, 3, 2, 4), {}, "does not fit 3 input channels"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"groups": 2}, "in 2 groups does not fit"),
        ((1, 4, 4, 4), (3, 3, 2, 3), {"groups": 2}, "in 2 groups does not fit"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"groups": 0}, "in 0 groups"),
        ((1, 2, 4, 4), (3, 3, 4, 4), {"padding": "VALID"}, "reaches over 3 pixels of height"),
        (
            (1, 8, 4, 4),
            (3, 3, 4, 4),
            {"padding": 0, "dilation": 2},
            "reaches over 5 pixels of width, the padded image has 4",
        ),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"stride": 0}, "stride is 0"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"stride": (1, 2, 3)}, "stride is (1, 2, 3)"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"dilation": (1, -1)}, "dilation is (1, -1)"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": "same"}, "padding is 'same'"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": -1}, "padding is -1"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": (1, 2, 3)}, "padding is (1, 2, 3)"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": ((1, 2), (3,))}, "padding is ((1, 2), (3,))"),
    ],
)
def test_what_does_not_fit_is_named(image, window, options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        conv2d(jnp.zeros(image), jnp.zeros(window), **options)


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sizes, st.tuples(st.integers(1, 4), st.integers(1, 4)), positive_pairs, positive_pairs)
def test_same_padding_is_that_of_xla(size, window, stride, dilation):
    stride, dilation = (
        (value, value) if isinstance(value, int) else value for value in (stride, dilation)
    )
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    expected = lax.padtype_to_pads(size, reach, stride, "SAME")
    assert resolve_padding("SAME", size, window, stride, dilation) == tuple(map(tuple, expected))
