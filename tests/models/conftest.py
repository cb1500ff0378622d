"""Compile fast: what is tested here is mathematics, and XLA's optimizer takes most of the time."""

import jax
import jaxtyping
import pytest


@pytest.fixture(autouse=True)
def quick_compilation():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def without_type_checks(monkeypatch):
    """Past the tests' own check of types, as users call."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
