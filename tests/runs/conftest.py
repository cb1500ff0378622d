"""What the tests of training share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def leftovers_collected() -> Iterator[None]:
    """What a test leaves to the garbage collector is collected, and complained of, within it."""
    yield
    gc.collect()
