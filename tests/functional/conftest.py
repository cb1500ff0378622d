"""What the tests of operations share."""

from tests.models.conftest import quick_compilation as quick_compilation
