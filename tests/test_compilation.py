"""The one place that compiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax import compilation
from dl_jax.compilation import jit


@pytest.fixture
def options_not_yet_known():
    compilation._platform_options.cache_clear()
    yield
    compilation._platform_options.cache_clear()


def test_compiled_computes_the_same():
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(jit(lambda x: jnp.sin(x) @ x.T)(x), jnp.sin(x) @ x.T, rtol=1e-6)


def test_options_are_those_of_jit():
    add = jit(lambda x, n: x + n, static_argnums=1, donate_argnums=0)
    x = jnp.ones(3)
    np.testing.assert_array_equal(add(x, 2), jnp.full(3, 3.0))
    assert x.is_deleted()


def test_a_version_without_the_option_compiles_all_the_same(monkeypatch, options_not_yet_known):
    monkeypatch.setattr(compilation, "CPU_OPTIONS", {"xla_no_such_option": "1"})
    assert compilation._platform_options() is None
    assert jit(lambda x: x + 1)(1.0) == 2


def test_no_cpu_option_elsewhere(monkeypatch, options_not_yet_known):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compilation._platform_options() is None
