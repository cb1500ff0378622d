"""Shapes and types of arguments checked against their annotations wherever a function is traced.

A package imports its modules inside `with checking_shapes("dl_jax.functional"):`. Each function in
them then compares its arguments and its result with the jaxtyping annotations of its signature: at
every eager call, and while `jax.jit` traces, so that compiled code pays nothing. Set
`DL_JAX_SHAPE_CHECKS=0` in the environment to turn this off.
"""

import os
import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, install_import_hook

__all__ = ["TypeCheckError", "checked", "checking_shapes", "explain"]

checked: Any = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""The type checker: beartype, with an integer accepted where a float is expected."""


def checking_shapes(package: str) -> AbstractContextManager[Any]:
    """While entered, modules of `package` are imported with their functions checked."""
    if os.environ.get("DL_JAX_SHAPE_CHECKS", "1") == "0":
        return nullcontext()
    return install_import_hook(package, "dl_jax.shape_checks.checked")


def explain(error: TypeCheckError) -> str:
    """One sentence: the function, the argument, what came and what was expected.

    For instance "l2_loss: targets is float32[4], expected float[*batch features] with features=1,
    batch=(4,)".
    """
    text = str(error)
    function = re.search(r"checking the (?:parameters|return value) of (\S+)\.", text)
    argument = re.search(r"parameter '(\w+)'", text)
    types = re.search(r"Actual value: (.*?)\nExpected type: (.*?)\.\n", text, re.DOTALL)
    if function is None or types is None:
        return " ".join(text.split())
    # f32[4](jax) -> float32[4]
    letters = {"f": "float", "i": "int", "u": "uint", "bf": "bfloat"}
    actual = re.sub(r"\((jax|numpy)\)", "", " ".join(types[1].split()))
    actual = re.sub(r"\b(bf|f|i|u)(\d+)\[", lambda m: f"{letters[m[1]]}{m[2]}[", actual)
    expected = _plain(re.sub(r"<class '(.*?\]?)'>", r"\1", " ".join(types[2].split())))
    named = re.findall(r"^(\w+)=(.+)$", text, re.MULTILINE)
    sizes = ", ".join(f"{name}={size}" for name, size in named if name in expected)
    return (
        f"{function[1].rpartition('.')[2]}: {argument[1] if argument else 'the result'} is "
        f"{actual}, expected {expected}{f' with {sizes}' if sizes else ''}"
    )


def _plain(annotation: str) -> str:
    """A type in few words: `float[*batch] or None` for a union over arrays of JAX and NumPy."""
    parts: list[str] = []  # without brackets in them, `<0>` stands for the first of these

    def reduced(match: re.Match[str]) -> str:
        name, inside = match.groups()
        if name in ("Union", "Optional"):
            return inside.replace(", ", " | ") + (" | None" if name == "Optional" else "")
        shape = re.search("'(.*)'", inside)
        parts.append(f"{name.lower()}[{shape[1]}]" if shape else f"{name}[{inside}]")
        return f"<{parts.index(parts[-1])}>"

    annotation = re.sub(r"\b(?:\w+\.)+(?=\w)", "", annotation.replace("NoneType", "None"))
    replaced = 1
    while replaced:
        annotation, replaced = re.subn(r"(\w*)\[([^\[\]]*)\]", reduced, annotation)
    plain = " or ".join(dict.fromkeys(annotation.split(" | ")))
    for i, part in reversed(list(enumerate(parts))):  # a later part may contain earlier ones
        plain = plain.replace(f"<{i}>", part)
    return plain
