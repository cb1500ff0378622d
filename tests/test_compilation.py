"""`jax.jit` with the options of the platform, and what a program holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax import compilation
from dl_jax.compilation import holds_convolution, jit, looped_products
from dl_jax.functional import conv2d


@pytest.fixture
def options_not_yet_known():
    compilation._platform_options.cache_clear()
    yield
    compilation._platform_options.cache_clear()


def test_jit_computes_the_same():
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(jit(lambda x: jnp.sin(x) @ x.T)(x), jnp.sin(x) @ x.T, rtol=1e-6)


def test_options_are_those_of_jit():
    add = jit(lambda x, n: x + n, static_argnums=1, donate_argnums=0)
    x = jnp.ones(3)
    np.testing.assert_array_equal(add(x, 2), jnp.full(3, 3.0))
    assert x.is_deleted()


def test_loops_of_products_are_marked_through_derivatives_and_maps():
    def loop(x):
        return jax.lax.fori_loop(0, 3, lambda _, x: jnp.tanh(x @ x), x)

    def marked(x):
        return looped_products(loop)(x).sum()

    x = jnp.eye(2)
    for function in (
        marked,
        jax.grad(marked),
        jax.jit(marked),
        lambda x: jax.vmap(marked)(x[None]),
    ):
        assert "name=looped_products" in str(jax.make_jaxpr(function)(x))
    np.testing.assert_allclose(jit(marked)(x), loop(x).sum(), rtol=1e-6)


def test_a_function_is_traced_once_for_its_options_and_its_program():
    traces = []

    def double(x):
        traces.append(x)
        return 2 * x

    doubled = jit(double)
    assert [int(doubled(1)), int(doubled(2))] == [2, 4]
    assert len(traces) == 1


def test_a_version_without_the_option_compiles_all_the_same(monkeypatch, options_not_yet_known):
    monkeypatch.setattr(compilation, "CPU_OPTIONS", {"xla_no_such_option": "1"})
    assert compilation._platform_options() is None
    assert jit(lambda x: x + 1)(1.0) == 2


def test_no_cpu_option_elsewhere(monkeypatch, options_not_yet_known):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compilation._platform_options() is None


def convolved(x, kernel):
    return conv2d(x, kernel).sum()


IMAGE = jax.ShapeDtypeStruct((2, 5, 5, 1), jnp.float32)


@pytest.mark.parametrize(
    "function",
    [
        convolved,
        jax.jit(convolved),
        jax.grad(convolved, argnums=1),
        jax.checkpoint(convolved),
        lambda x, k: jax.lax.scan(lambda c, _: (c + convolved(x, k), None), 0.0, length=2),
        lambda x, k: jax.lax.cond(x.sum() > 0, convolved, lambda x, k: 0.0, x, k),
        lambda x, k: jax.vmap(convolved, in_axes=(None, 0))(x, jnp.stack([k, k])),
        lambda x, k: jax.lax.while_loop(lambda c: c < 1, lambda c: c + convolved(x, k), 0.0),
    ],
)
def test_a_convolution_is_found_wherever_it_is(function):
    wide = jax.ShapeDtypeStruct((2, 5, 5, 4), jnp.float32)  # no im2col
    assert holds_convolution(function, wide, jnp.ones((3, 3, 4, 2)))


def test_what_only_speaks_of_a_convolution_holds_none():
    def conv_general_dilated(x):
        return x.sum()

    assert not holds_convolution(jax.jit(conv_general_dilated), IMAGE)
