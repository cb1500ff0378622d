"""Programs here are small and run once: they are compiled without most optimizations."""

from tests.models.conftest import quick_compilation as quick_compilation
