"""The type checker of the tests: beartype, with a whole number accepted as a float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
