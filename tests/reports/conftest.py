"""What the tests of reports share."""

from collections.abc import Iterator
from importlib import import_module

import pytest

from tests.training.optimization import optimization


@pytest.fixture(autouse=True, scope="package")
def quick_compilation() -> Iterator[None]:
    """A program is as good for these tests, however fast it is."""
    with optimization(enabled=False):
        yield


@pytest.fixture(autouse=True)
def coarse_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of few pixels: rendering them is half of a short run."""
    monkeypatch.setattr(import_module("dl_jax.plots.save"), "DOTS_PER_INCH", 30)
