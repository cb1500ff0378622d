"""What the tests of learners share."""

from tests.models.conftest import quick_compilation as quick_compilation
