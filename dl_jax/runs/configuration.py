"""In which fields two configurations differ."""

from collections.abc import Mapping
from typing import Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One phrase for each field that differs, nested fields under dotted names.

    >>> differences({"seeds": 1, "fit": {"epochs": 2}}, {"seeds": 3, "fit": {"epochs": 2}})
    ['seeds (was 1, now 3)']
    """
    before, now = _flat(old), _flat(new)
    return [
        f"{name} (was {before.get(name)!r}, now {now.get(name)!r})"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
