"""Every example in a docstring of dl_jax says what happens."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for path in (ROOT / "dl_jax").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def docstrings(source: str):
    """(name, docstring) of the module and of each class and function, nested ones too.

    Read from the source: doctest's own finder overlooks functions that a shape checker has wrapped.
    """
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (docstring := ast.get_docstring(node)):
            yield getattr(node, "name", "module"), docstring


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_docstring_examples(path):
    source = path.read_text(encoding="utf-8")
    names = vars(importlib.import_module(module_name(path)))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for name, docstring in docstrings(source):
        test = doctest.DocTestParser().get_doctest(docstring, dict(names), name, str(path), 0)
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    assert runner.tries == source.count(">>> "), "an example stands where no docstring is"


def test_a_wrong_example_would_be_caught():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner().run(test, out=lambda _: None).failed == 1
