"""What the tests of optimizers share."""

from tests.models.conftest import quick_compilation as quick_compilation
