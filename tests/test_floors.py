"""The floors of the design: an import goes down, never up and never sideways."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for top in ("dl_jax", "experiments") for path in (ROOT / top).rglob("*.py"))

# Low to high. What shares a floor does not import one another.
FLOORS = [
    {"errors", "types", "folders", "signals"},
    {
        "paths",
        "compilation",
        "concrete",
        "configuration",
        "memory",
        "manifest",
        "processes",
        "shape_checks",
    },
    {"evaluation"},
    {"functional", "data", "autograd"},
    {"backprop"},
    {"optim"},
    {"models"},
    {"learners", "decoding"},
    {"plots"},
    {"runs"},
    {"training"},
    {"reports"},
    {"experiments"},
]
FLOOR = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}

STRANGERS = {
    ("models", "data"),
    ("data", "models"),
    ("backprop", "data"),
}  # though one stands above the other
IMPORTED_ONCE = ["orbax", "tensorflow_datasets", "grain"]
NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}
MOST_LINES = 400


def dotted(path: Path) -> tuple[str, ...]:
    """`("dl_jax", "models", "cnn")` of `dl_jax/models/cnn.py`; of an `__init__`, the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def unit_of(module: tuple[str, ...]) -> str | None:
    """What has a floor: a module or package right below `dl_jax`, or `experiments`."""
    if module[0] == "experiments":
        return "experiments"
    return module[1] if module[0] == "dl_jax" and len(module) > 1 else None


def imports(source: str, package: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every module imported anywhere in a source, also within functions, relative ones resolved.

    `from a import b` counts as `a.b`, for b may be a module; `unit_of` does not mind if it is not.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            found |= {(*base, alias.name) for alias in node.names}
    return found


def violations(path: Path, source: str) -> list[str]:
    """What is wrong with the imports of one file, each in a sentence."""
    module = dotted(path)
    unit = unit_of(module)
    if unit is not None and unit not in FLOOR:
        return [f"{unit} has no floor: add it to FLOORS in {Path(__file__).name}"]
    package = module if path.name == "__init__.py" else module[:-1]
    wrong = []
    for target in sorted(imports(source, package)):
        other = unit_of(target)
        said = f"{'.'.join(module)} imports {'.'.join(target)}"
        if other is None:
            continue
        if other not in FLOOR:
            if target[1] != "__version__":
                wrong.append(f"{said}, which has no floor")
        elif other == "experiments":
            if not is_piece_of(module, target):
                wrong.append(f"{said}, but nobody imports experiments")
        elif unit is None:
            wrong.append(f"{said}, but the package itself imports nothing")
        elif (unit, other) in STRANGERS:
            wrong.append(f"{said}, but these do not know each other")
        elif FLOOR[other] > FLOOR[unit]:
            wrong.append(f"{said}, which is above it")
        elif FLOOR[other] == FLOOR[unit] and other != unit:
            wrong.append(f"{said}, which is beside it")
    return wrong


def is_piece_of(script: tuple[str, ...], target: tuple[str, ...]) -> bool:
    """Whether a file of the same subject is meant that is no script: what scripts are made of."""
    path = ROOT.joinpath(*target[:3]).with_suffix(".py")
    return (
        script[:2] == target[:2] and path.is_file() and "\nCommand: " not in path.read_text("utf-8")
    )


def importers(library: str) -> list[str]:
    return [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(target[0] == library for target in imports(path.read_text("utf-8"), ("x", "y")))
    ]


def test_sources_are_found():
    names = {".".join(dotted(path)) for path in SOURCES}
    assert {"dl_jax", "dl_jax.errors", "dl_jax.models.cnn", "experiments.quickstart"} <= names
    assert {unit_of(dotted(path)) for path in SOURCES} >= {"functional", "learners", "training"}


def test_imports_go_down():
    wrong = [said for path in SOURCES for said in violations(path, path.read_text("utf-8"))]
    assert not wrong, "\n".join(wrong)


def test_a_library_that_may_change_is_imported_in_one_file():
    found = {library: importers(library) for library in IMPORTED_ONCE}
    assert all(len(files) == 1 for files in found.values()), found


def test_scripts_say_their_command_and_nothing_else_does():
    for path in (path for path in SOURCES if path.relative_to(ROOT).parts[0] == "experiments"):
        text = path.read_text(encoding="utf-8")
        assert ("launch(Config, main)" in text) == ("\nCommand: " in text), path


def test_a_file_holds_one_idea():
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        assert not NAMES_OF_NOTHING & set(parts), path
        lines = path.read_text(encoding="utf-8").count("\n")
        assert parts[0] == "experiments" or lines <= MOST_LINES, f"{path} has {lines} lines"


def test_a_climbing_import_would_be_caught_and_no_other():
    for where, source, said in [
        ("dl_jax/functional/new.py", "import dl_jax.models.cnn", "above"),
        ("dl_jax/functional/new.py", "from dl_jax import models", "above"),
        ("dl_jax/functional/new.py", "from dl_jax.models.cnn import cnn", "above"),
        ("dl_jax/functional/new.py", "from ..models import cnn", "above"),
        ("dl_jax/functional/__init__.py", "from ..learners import Learner", "above"),
        ("dl_jax/functional/new.py", "def f():\n    import dl_jax.training", "above"),
        ("dl_jax/functional/new.py", "import numpy, dl_jax.optim as optim", "above"),
        ("dl_jax/errors.py", "from dl_jax.paths import match", "above"),
        ("dl_jax/errors.py", "from dl_jax.types import Tree", "beside"),
        ("dl_jax/data/new.py", "from dl_jax.functional import relu", "beside"),
        ("dl_jax/evaluation/new.py", "from dl_jax.plots import save", "above"),
        ("dl_jax/evaluation/new.py", "from dl_jax.functional import relu", "above"),
        ("dl_jax/runs/new.py", "from dl_jax.training import fit", "above"),
        ("dl_jax/training/new.py", "from dl_jax.reports import report", "above"),
        ("dl_jax/models/new.py", "from dl_jax.data import load", "know each other"),
        ("dl_jax/data/new.py", "from dl_jax.models import cnn", "know each other"),
        ("dl_jax/training/new.py", "from experiments.quickstart import Config", "nobody"),
        ("dl_jax/training/new.py", "import experiments", "nobody"),
        ("experiments/vision/new.py", "from experiments.quickstart import Config", "nobody"),
        ("experiments/vision/new.py", "from . import mnist_mlp", "nobody"),
        ("experiments/vision/new.py", "from ..quickstart import Config", "nobody"),
        ("experiments/vision/new.py", "from experiments.generative.judge import Judge", "nobody"),
        ("dl_jax/__init__.py", "from dl_jax.models import cnn", "imports nothing"),
        ("dl_jax/training/new.py", "import dl_jax.cellar", "no floor"),
        ("dl_jax/cellar/new.py", "", "no floor"),
    ]:
        (complaint,) = violations(ROOT / where, source)
        assert said in complaint
    for where, source in [
        ("dl_jax/models/new.py", "from dl_jax.functional import relu"),
        ("dl_jax/models/new.py", "from dl_jax.models.model import Model"),
        ("dl_jax/models/new.py", "from .model import Model"),
        ("dl_jax/plots/new.py", "from dl_jax.evaluation import accuracy"),
        ("dl_jax/training/new.py", "import dl_jax\nfrom dl_jax import __version__, plots"),
        ("experiments/new.py", "from dl_jax.training import fit\nimport jax"),
        ("experiments/generative/new.py", "from experiments.generative.judge import Judge"),
    ]:
        assert violations(ROOT / where, source) == []
