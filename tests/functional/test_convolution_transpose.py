"""The transposed convolution, against Flax's and torch's, and as the gradient that it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from dl_jax.functional import conv2d, conv2d_transpose
from tests.functional.convolution_reference import close, normal

OPTIONS = [
    {},
    {"stride": 2},
    {"stride": (2, 3)},
    {"padding": "VALID"},
    {"padding": "VALID", "stride": 2},
    {"padding": "VALID", "stride": 4},
    {"stride": 4},
    {"dilation": 2},
    {"dilation": (1, 2), "stride": 2, "padding": "VALID"},
]


def value_and_gradients(function, *operands):
    y, pull = jax.vjp(function, *operands)
    return y, pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("window", [(3, 2), (4, 4), (1, 1)])
def test_value_and_gradients_are_those_of_flax(options, window):
    x = normal(0, 2, 4, 5, 3)
    params = {"kernel": normal(1, *window, 3, 6), "bias": normal(2, 6)}
    layer = linen.ConvTranspose(
        6, window, strides=options.get("stride", 1), padding=options.get("padding", "SAME"),
        kernel_dilation=options.get("dilation", 1),
    )  # fmt: skip

    def theirs(x, params):
        with jax.numpy_rank_promotion("allow"):
            return layer.apply({"params": params}, x)

    close(
        value_and_gradients(lambda x, params: conv2d_transpose(x, **params, **options), x, params),
        value_and_gradients(theirs, x, params),
    )


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"),
    [(1, 0, 1), (2, 1, 1), (2, (1, 0), 1), ((1, 3), 2, 2), (2, 0, (1, 2))],
)
def test_value_and_gradients_are_those_of_torch(stride, padding, dilation):
    """Torch keeps the kernel turned by 180 degrees, as the convolution has it."""
    torch = pytest.importorskip("torch")
    x, kernel, bias = normal(0, 2, 4, 5, 3), normal(1, 4, 3, 3, 6), normal(2, 6)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    turned = np.asarray(kernel)[::-1, ::-1].transpose(2, 3, 0, 1).copy()
    leaves = [
        torch.tensor(array, requires_grad=True)
        for array in (np.asarray(x.transpose(0, 3, 1, 2)), turned, np.asarray(bias))
    ]
    expected = torch.nn.functional.conv_transpose2d(*leaves, **options)
    expected.sin().sum().backward()

    def ours(x, kernel, bias):
        return conv2d_transpose(x, kernel, bias, **options)

    close(ours(x, kernel, bias), jnp.asarray(expected.detach().numpy().transpose(0, 2, 3, 1)))
    gradients = jax.grad(lambda *a: jnp.sin(ours(*a)).sum(), (0, 1, 2))(x, kernel, bias)
    wanted = [leaf.grad.numpy() for leaf in leaves]
    close(
        gradients,
        (
            jnp.asarray(wanted[0].transpose(0, 2, 3, 1)),
            jnp.asarray(wanted[1].transpose(2, 3, 0, 1)[::-1, ::-1].copy()),
            jnp.asarray(wanted[2]),
        ),
    )


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": ((0, 2), (1, 0))}])
def test_it_is_the_gradient_of_a_convolution(options):
    """`<conv(x, w), g> = <x, transpose(g, w)>`, with w turned and its channels exchanged."""
    x, w = normal(0, 2, 8, 6, 3), normal(1, 3, 3, 3, 5)
    y = conv2d(x, w, **options)
    g = normal(2, *y.shape)
    back = conv2d_transpose(g, jnp.flip(w, (0, 1)).swapaxes(2, 3), **options)
    whole = jnp.zeros_like(x).at[:, : back.shape[1], : back.shape[2]].set(back)
    np.testing.assert_allclose(jnp.vdot(y, g), jnp.vdot(x, whole), rtol=1e-4)


def test_mapped_over_kernels():
    x, kernels = normal(0, 2, 4, 4, 3), normal(1, 3, 3, 3, 3, 2)
    mapped = jax.vmap(lambda k: conv2d_transpose(x, k, stride=2))(kernels)
    close(mapped, jnp.stack([conv2d_transpose(x, k, stride=2) for k in kernels]))


def test_bfloat16():
    x, kernel = normal(0, 2, 4, 4, 3), normal(1, 3, 3, 3, 2)
    half = conv2d_transpose(x.astype(jnp.bfloat16), kernel, stride=2)
    assert half.dtype == jnp.bfloat16
    close(half.astype(jnp.float32), conv2d_transpose(x, kernel, stride=2), 2e-2)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"does not fit 3 input channels"):
        conv2d_transpose(jnp.zeros((1, 4, 4, 3)), jnp.zeros((3, 3, 4, 2)))
    with pytest.raises(ValueError, match=r"padding 5 leaves an output of \(-2, -2\) pixels"):
        conv2d_transpose(jnp.zeros((1, 6, 6, 3)), jnp.zeros((3, 3, 3, 2)), padding=5)
