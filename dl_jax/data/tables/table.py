"""Tables: numeric and categorical columns with missing values, read from CSV or by name."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_choice, nearest

Columns = Mapping[str, NDArray]
"""Name to a numeric column, float64 `[rows]` with NaN where a value is missing, or to a categorical
one, strings `[rows]`, empty where missing."""
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
TABLES = {"diabetes": "target", "california_housing": "median_house_value"}
"""Names that `load_table` knows, with their targets."""


def read_csv(path: str | os.PathLike[str], *, delimiter: str = ",") -> dict[str, NDArray]:
    """The columns of a CSV file whose first line names them.

    A column is numeric if all its entries are numbers or missing, else categorical. Missing are
    empty entries, `NA`, `N/A`, `NaN`, `null`, `None` and `?`, in any case, and numbers that are not
    finite.

    Raises:
        UsageError: the file cannot be read, has no rows or repeated names, or the length of a row
            is not the number of columns.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(lines, [])]
            rows = [_checked(line, names, lines.line_num, path) for line in lines if line]
    except FileNotFoundError as error:
        raise UsageError(f"there is no table {path}, expected a CSV file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV in UTF-8 ({error})") from error
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or "" in names:
        raise UsageError(
            f"the first line of {path} is {', '.join(map(repr, names))}, expected a different "
            "name for each column"
        )
    if not rows:
        raise UsageError(f"{path} has no rows, expected a line of names and one for each example")
    by_column = zip(*rows, strict=True)
    return {name: _column(entries) for name, entries in zip(names, by_column, strict=True)}


def load_table(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> tuple[dict[str, NDArray], str]:
    """A table by name, and the name of its target column.

    Args:
        name: `diabetes`, which comes with the installation (442 patients: the progression of
            the disease from ten measurements), or `california_housing` (20,640 groups of blocks:
            the median value of a house, with missing values and one categorical column).
        data_dir: folder that holds `housing.csv` or `california_housing/housing.csv`.

    Raises:
        UsageError: the name is unknown, or the file is not there.

    Source: Efron et al. (2004), "Least angle regression"; Pace and Barry (1997), "Sparse spatial
    autoregressions", with the ocean's proximity added by Géron, "Hands-on machine learning".
    """
    check_choice("dataset", name, TABLES)
    if name == "diabetes":
        from sklearn.datasets import load_diabetes  # imported here: it takes a second

        bunch: Any = load_diabetes(scaled=False)
        columns = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
        return {**columns, TABLES[name]: bunch.target}, TABLES[name]
    folder = Path(os.path.expanduser(data_dir or "."))
    choices = folder / "housing.csv", folder / name / "housing.csv"
    found = [path for path in choices if path.is_file()]
    if not found:
        raise UsageError(
            f"dataset {name!r} cannot be read, there is no {choices[0]}: take housing.csv from "
            "github.com/ageron/handson-ml2 (datasets/housing), and pass its folder as --data-dir"
        )
    return read_csv(found[0]), TABLES[name]


def check_column(columns: Columns, name: str) -> NDArray:
    """The column of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in columns:
        raise UsageError(
            f"the table has no column {name!r}, expected one of {', '.join(columns)}"
            f"{nearest(name, columns)}"
        )
    return columns[name]


def _checked(line: list[str], names: list[str], number: int, path: Path) -> list[str]:
    if len(line) != len(names):
        raise UsageError(
            f"line {number} of {path} has {len(line)} entries, expected {len(names)}, one for each "
            "name in the first line"
        )
    return [entry.strip() for entry in line]


def _column(entries: Sequence[str]) -> NDArray:
    """Numbers if all entries are numbers or missing, else strings."""
    filled = ["" if entry.lower() in MISSING else entry for entry in entries]
    try:
        numbers = np.array([float(entry) if entry else np.nan for entry in filled])
    except ValueError:
        return np.array(filled)
    return np.where(np.isfinite(numbers), numbers, np.nan)
