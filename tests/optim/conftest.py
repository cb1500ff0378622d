"""What the tests of optimizers share."""

from tests.models.conftest import quick_compilation as quick_compilation
from tests.models.conftest import without_type_checks as without_type_checks
