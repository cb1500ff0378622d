"""What the tests of runs share."""

from collections.abc import Iterator

import pytest

from tests.training.optimization import optimization


@pytest.fixture(autouse=True, scope="package")
def quick_compilation() -> Iterator[None]:
    """A program is as good for these tests, however fast it is."""
    with optimization(enabled=False):
        yield
