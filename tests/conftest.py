"""Tests run strictly: shapes checked, no rank promotion, warnings as errors, eight devices."""

import os

# Before JAX starts.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # many small programs

from pathlib import Path

import jax
import jaxtyping
import pytest

from dl_jax.compilation import keep_compiled_programs

jax.config.update("jax_numpy_rank_promotion", "raise")
keep_compiled_programs()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long versions unless asked for; skip, visibly, what needs data not at hand."""
    has_data = (Path(os.environ.get("TFDS_DATA_DIR", "/nowhere")) / "mnist").is_dir()
    for item in items:
        if "slow" in item.keywords and "slow" not in (config.option.markexpr or ""):
            item.add_marker(pytest.mark.skip(reason="the long version; run it with -m slow"))
        if "real_data" in item.keywords and not has_data:
            item.add_marker(pytest.mark.skip(reason="no MNIST in $TFDS_DATA_DIR"))


@pytest.fixture
def without_type_checks(monkeypatch):
    """Past the tests' own check of types, as users call."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
