"""How much work the compiler spends on the programs of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import pytest


@contextmanager
def optimization(*, enabled: bool) -> Iterator[None]:
    """Programs compiled in here, and by processes started in here, are optimized by LLVM, or not.

    Most of the time of a short run is the optimization of its programs. None that was compiled
    within is used afterwards, nor one from before.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", str(not enabled))
        before = jax.config.read("jax_disable_most_optimizations")
        jax.config.update("jax_disable_most_optimizations", not enabled)
        jax.clear_caches()
        yield
        jax.config.update("jax_disable_most_optimizations", before)
        jax.clear_caches()
