"""Tables read from CSV, or by name."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dl_jax.data import load_table, read_csv
from dl_jax.errors import UsageError
from tests.data.tables import HOUSING


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_numeric_and_categorical_columns_with_missing_values(tmp_path: Path):
    columns = read_csv(written(tmp_path, 'a, b ,c\n1,x,NA\n,"y, z",?\n 2.5e1 ,,nan\n\n'))
    assert list(columns) == ["a", "b", "c"]
    np.testing.assert_array_equal(columns["a"], [1, np.nan, 25])
    assert columns["b"].tolist() == ["x", "y, z", ""]
    np.testing.assert_array_equal(columns["c"], [np.nan] * 3)


def test_one_word_makes_a_column_categorical(tmp_path: Path):
    assert read_csv(written(tmp_path, "a\n1\nmany\n"))["a"].tolist() == ["1", "many"]


def test_delimiters_and_a_byte_order_mark_are_read(tmp_path: Path):
    path = written(tmp_path, "\ufeffa;b\n1,5;2\n")
    assert read_csv(path, delimiter=";")["a"].tolist() == ["1,5"]


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).map("w".__add__),
        ),
        min_size=1,
    )
)
def test_written_tables_are_read_back(tmp_path_factory: pytest.TempPathFactory, rows):
    path = tmp_path_factory.mktemp("written") / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("number", "word"), *rows])
    columns = read_csv(path)
    numbers = [np.nan if number is None else number for number, _ in rows]
    np.testing.assert_array_equal(columns["number"], numbers)
    assert columns["word"].tolist() == [word for _, word in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("a,b\n", "has no rows"),
        ("a,a\n1,2\n", "expected a different name for each column"),
        ("a,\n1,2\n", "expected a different name for each column"),
        ("a,b\n1,2\n\n3\n", "line 4 of .* has 1 entries, expected 2"),
        ('a,b\n1,"2\n', "cannot be read as CSV"),
    ],
)
def test_malformed_tables_are_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(UsageError, match=message):
        read_csv(written(tmp_path, text))


def test_unreadable_tables_are_refused(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(UsageError, match="cannot be read as CSV in UTF-8"):
        read_csv(path)
    with pytest.raises(UsageError, match="there is no table"):
        read_csv(tmp_path / "nothing.csv")


def test_diabetes_comes_with_the_installation():
    columns, target = load_table("diabetes")
    assert len(columns) == 11
    assert columns[target].shape == (442,)
    assert columns["age"].min() >= 18  # years, not standardized


@pytest.mark.parametrize("place", ["housing.csv", "california_housing/housing.csv"])
def test_california_housing_is_found_in_its_folder(tmp_path: Path, place: str):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(HOUSING)
    columns, target = load_table("california_housing", tmp_path)
    assert columns[target].tolist() == [452600.0, 358500.0, 352100.0]
    assert np.isnan(columns["total_bedrooms"]).sum() == 1
    assert columns["ocean_proximity"].tolist() == ["NEAR BAY", "INLAND", "NEAR BAY"]


def test_a_missing_table_is_explained(tmp_path: Path):
    with pytest.raises(UsageError, match=r"take housing\.csv from .* --data-dir"):
        load_table("california_housing", tmp_path)
    with pytest.raises(UsageError, match="did you mean 'diabetes'"):
        load_table("diabetis")
