"""Configurations as dataclasses: what they record, and whether two give the same result.

A configuration is a frozen dataclass of plain values and of further configurations. A field
determines the result unless it was made by one of the functions here, which say what it changes
instead; such a field may have another value when a run is resumed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any, NamedTuple

CHANGES = "changes"
NOT_CONFIGURATION = "run"
"""Field of a script's configuration that says where it runs, which is no part of what it is."""


def speed_only(default: Any) -> Any:
    """A field that changes speed or memory, not the result."""
    return field(default=default, metadata={CHANGES: "speed"})


def stopping_only(default: Any) -> Any:
    """A field that changes when training stops early, not the way there: patience."""
    return field(default=default, metadata={CHANGES: "stopping"})


def place_only(default: Any) -> Any:
    """A field that says where something lies on this machine; it is not recorded."""
    return field(default=default, metadata={CHANGES: "place"})


def length_only(default: Any) -> Any:
    """A field that changes the number of steps, and the result as far as a schedule depends on it.

    A configuration within the same whole says so by a property `depends_on_length`. Unless there
    is one, and all of them are False, the field determines the result.
    """
    return field(default=default, metadata={CHANGES: "length"})


class Change(NamedTuple):
    """One field in which two configurations differ; `allowed` where the result stays the same."""

    name: str
    old: Any
    new: Any
    allowed: bool = False

    def __str__(self) -> str:
        name = self.name if self.name.isprintable() else repr(self.name)
        old, new = ("absent" if v is MISSING else repr(v) for v in (self.old, self.new))
        return f"{name} (was {old}, now {new})"


def plain(config: Any) -> dict[str, Any]:
    """All values of a configuration as JSON has them, without its field `run` and places."""
    return _values(config, lambda _: True)


def determining(config: Any) -> dict[str, Any]:
    """The values that determine the result, as JSON has them."""
    free_length = _has_free_length(config)
    return _values(config, lambda f: not _is_free(f, free_length))


def changes(record: Mapping[str, Any], config: Any) -> list[Change]:
    """In which fields `config` differs from a record that `plain` made earlier.

    A field that the record does not have had its default then. A field that the configuration does
    not have any more counts as a difference.
    """
    found = _compare(record, config, MISSING, "", _has_free_length(config))
    return sorted(found, key=lambda change: change.name)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """In which entries two nested mappings differ, under dotted names.

    >>> [str(change) for change in differences({"fit": {"seed": 1}}, {"fit": {"seed": 2}})]
    ['fit.seed (was 1, now 2)']
    """
    before, now = dict(_flat(old)), dict(_flat(new))
    return [
        Change(name, before.get(name, MISSING), now.get(name, MISSING))
        for name in sorted(before.keys() | now.keys())
        if not _same(before.get(name, MISSING), now.get(name, MISSING))
    ]


def _compare(
    record: Mapping[str, Any], config: Any, defaults: Any, prefix: str, free_length: bool
) -> Iterator[Change]:
    known = _fields(config)
    for name in record.keys() - {f.name for f in known}:
        yield Change(f"{prefix}{name}", record[name], MISSING)
    for f in known:
        value, default = getattr(config, f.name), _default(f, defaults, type(config))
        if f.name not in record and default is MISSING:
            yield Change(f"{prefix}{f.name}", MISSING, _as_json(value))
            continue
        old = record[f.name] if f.name in record else _as_json(default)
        if is_dataclass(value) and isinstance(old, Mapping):
            yield from _compare(old, value, default, f"{prefix}{f.name}.", free_length)
        elif not _same(old, _as_json(value)):
            yield Change(f"{prefix}{f.name}", old, _as_json(value), _is_free(f, free_length))


def _values(config: Any, wanted: Callable[[Field], bool]) -> dict[str, Any]:
    values = {}
    for f in _fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            values[f.name] = _values(value, wanted)
        elif wanted(f):
            values[f.name] = _as_json(value)
    return values


def _fields(config: Any) -> list[Field]:
    return [
        f
        for f in fields(config)
        if f.name != NOT_CONFIGURATION and f.metadata.get(CHANGES) != "place"
    ]


def _default(f: Field, defaults: Any, owner: type) -> Any:
    """The value of a field where none is given: within the default of what holds it, if it has."""
    if type(defaults) is owner:
        return getattr(defaults, f.name)
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _is_free(f: Field, free_length: bool) -> bool:
    kind = f.metadata.get(CHANGES)
    return kind in ("speed", "stopping") or (kind == "length" and free_length)


def _has_free_length(config: Any) -> bool:
    """Whether there are schedules in a configuration, and none depends on the length."""
    said = list(_dependences(config))
    return bool(said) and not any(said)


def _dependences(config: Any) -> Iterator[bool]:
    if hasattr(config, "depends_on_length"):
        yield config.depends_on_length
    for f in _fields(config):
        if is_dataclass(value := getattr(config, f.name)):
            yield from _dependences(value)


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return plain(value)
    return json.loads(json.dumps(value, default=str))


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal; NaN equals itself here."""
    if a is MISSING or b is MISSING:
        return a is b
    return a == b or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
