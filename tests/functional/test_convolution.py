"""The convolution and its gradients, against XLA's own, torch's and Flax's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

from dl_jax.functional import conv2d
from dl_jax.functional.windows import resolve_padding
from tests.functional.convolution_reference import close, native, normal, value_and_gradients

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
def test_arguments_that_do_not_fit_are_refused(image, window, options, said):
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
