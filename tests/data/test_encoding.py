"""Features from columns, against scikit-learn's transformers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dl_jax.data import encode, fit_encoding, table_splits
from dl_jax.errors import UsageError

values = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))  # no tiny scale: it is refused
numbers = arrays(np.float64, 12, elements=st.just(np.nan) | values)
words = arrays("U1", 12, elements=st.sampled_from(["", "a", "b", "c"]))


@given(numbers, numbers)
def test_standardized_numbers_are_those_of_scikit_learn(train, test):
    known = train[~np.isnan(train)]
    if known.size == 0 or 0 < known.std() < 1e-6 * abs(known).max():
        return  # scikit-learn drops the column, or takes it for a constant
    imputer = SimpleImputer(add_indicator=True)
    filled = imputer.fit_transform(train[:, None])
    # Filling in the mean does not change the mean; it would change the standard deviation.
    scaler = StandardScaler().fit(known[:, None])
    expected = imputer.transform(test[:, None])
    expected[:, :1] = scaler.transform(expected[:, :1])
    assert filled.shape[1] == expected.shape[1]
    features = encode(fit_encoding({"x": train}), {"x": test})
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)


@given(words, words)
def test_categories_are_those_of_scikit_learn(train, test):
    kinds = sorted({*train.tolist()} - {""})
    encoder = OneHotEncoder(
        categories=[kinds or ["a"]], handle_unknown="ignore", sparse_output=False
    )
    expected = encoder.fit(train[train != ""][:, None] if kinds else [["a"]]).transform(
        test[:, None]
    )
    columns = {"n": np.zeros(12), "x": train}
    features = encode(fit_encoding(columns), {"n": np.zeros(12), "x": test})[:, 1:]
    np.testing.assert_array_equal(features, expected if kinds else np.zeros((12, 0)))


def test_constant_and_missing_columns_become_zeros():
    columns = {"same": np.full(3, 7.0), "missing": np.full(3, np.nan)}
    encoding = fit_encoding(columns)
    assert encoding.features == ["same", "missing", "missing is missing"]
    np.testing.assert_array_equal(encode(encoding, columns), [[0, 0, 1]] * 3)


def test_too_many_categories_are_refused():
    column = np.array([f"name {i}" for i in range(300)])
    with pytest.raises(UsageError, match="'who' has 300 categories"):
        fit_encoding({"who": column})


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([1e308, -1e308, 1.0], [0.0], "'x' has values up to 1e.308, whose mean or standard dev"),
        ([1.0, 2.0, 3.0], [1e300], "'x' has values up to 1e.300, beyond float32 once standard"),
    ],
)
def test_features_that_overflow_are_named(train, test, said: str):
    with pytest.raises(UsageError, match=said):
        encode(fit_encoding({"x": np.array(train)}), {"x": np.array(test)})


def test_a_missing_column_is_named():
    with pytest.raises(UsageError, match=r"no column 'age', expected one of ages; did you mean"):
        encode(fit_encoding({"age": np.arange(3.0)}), {"ages": np.arange(3.0)})


def table(rows: int = 60):
    random = np.random.default_rng(0)
    age = random.normal(40, 9, rows)
    age[::7] = np.nan
    kinds = np.array(["a", "b"])[random.integers(0, 2, rows)]
    return {"id": np.arange(rows, dtype=float), "age": age, "kind": kinds, "y": np.arange(rows) / 2}


def test_splits_are_disjoint_and_complete():
    columns = table()
    data = table_splits(columns, "y")
    assert {split: len(dataset) for split, dataset in data.items()} == {
        "train": 44, "validation": 4, "test": 12,
    }  # fmt: skip
    targets = np.concatenate([dataset.arrays["target"] for dataset in data.values()])
    np.testing.assert_array_equal(np.sort(targets), columns["y"])
    again = table_splits(columns, "y", split_seed=1)["test"].arrays["target"]
    assert set(again.tolist()) != set(data["test"].arrays["target"].tolist())


def test_rows_keep_their_targets():
    """And is standardized by the training split alone."""
    columns = table()
    data = table_splits(columns, "y")
    ids = {split: 2 * dataset.arrays["target"] for split, dataset in data.items()}
    mean, deviation = ids["train"].mean(), ids["train"].std()
    for split, dataset in data.items():
        standardized = dataset.arrays["features"][:, 0]
        np.testing.assert_allclose(standardized * deviation + mean, ids[split], atol=1e-4)
    np.testing.assert_allclose(data["train"].arrays["features"][:, 0].mean(), 0, atol=1e-6)


def test_held_out_rows_do_not_change_the_training_features():
    columns = table()
    before = table_splits(columns, "y")
    held_out = np.concatenate([2 * before[s].arrays["target"] for s in ("validation", "test")])
    spoiled = {name: column.copy() for name, column in columns.items()}
    spoiled["age"][held_out.astype(int)] = 1e9
    spoiled["kind"][held_out.astype(int)] = "z"
    after = table_splits(spoiled, "y")
    np.testing.assert_array_equal(
        after["train"].arrays["features"], before["train"].arrays["features"]
    )


def test_batches_of_a_table_visit_each_row_once():
    dataset = table_splits(table(), "y")["train"]
    batches = list(dataset.evaluation_batches(16))
    assert [batch["features"].shape for batch in batches] == [(16, 5)] * 3
    seen = np.concatenate([batch["target"][batch["mask"] == 1] for batch in batches])
    np.testing.assert_array_equal(np.sort(seen), np.sort(dataset.arrays["target"]))


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        (table(), "z", "no column 'z'"),
        (table(), "kind", "the target 'kind' is categorical"),
        (table(), "age", "the target 'age' is missing in 9 of 60 rows, first in row 1"),
        ({"y": np.arange(9.0)}, "y", "no column but the target"),
        (table(3), "id", "leaves one side empty"),
        ({**table(), "y": 1.6e9 + np.arange(60)}, "y", "different values are equal in float32"),
        ({**table(), "y": 1e40 * np.arange(60)}, "y", "different values are equal in float32"),
    ],
)
def test_impossible_targets_are_refused(columns, target: str, message: str):
    with pytest.raises(UsageError, match=message):
        table_splits(columns, target)
