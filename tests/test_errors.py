"""Errors that a user can act on."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dl_jax.errors import (
    RunError,
    UsageError,
    check_choice,
    check_distinct,
    check_multiple,
    check_range,
    nearest,
)

numbers = st.floats(-5, 5)


def test_exit_codes_tell_a_wrong_request_from_a_failed_run():
    assert (UsageError.exit_code, RunError.exit_code) == (2, 1)
    assert not issubclass(UsageError, RunError)
    assert not issubclass(RunError, UsageError)


def test_nearest_names_the_closest_and_only_a_close_one():
    assert nearest("mnits", ["cifar10", "mnist"]) == "; did you mean 'mnist'?"
    assert nearest("xyz", ["cifar10", "mnist"]) == ""
    assert nearest("mnist", []) == ""


def test_choice_is_returned():
    assert check_choice("optimizer", "adam", ("sgd", "adam")) == "adam"


def test_wrong_choice_names_field_value_options_and_nearest():
    with pytest.raises(UsageError) as caught:
        check_choice("optimizer", "adm", ("sgd", "adam"))
    assert str(caught.value) == (
        "optimizer is 'adm', expected one of adam, sgd; did you mean 'adam'?"
    )


@settings(deadline=None, max_examples=200)
@given(numbers, numbers, numbers, st.booleans(), st.booleans())
def test_range_accepts_exactly_the_interval(value, low, high, exclusive_low, exclusive_high):
    inside = (low < value if exclusive_low else low <= value) and (
        value < high if exclusive_high else value <= high
    )

    def check():
        check_range(
            "rate",
            value,
            low=low,
            high=high,
            exclusive_low=exclusive_low,
            exclusive_high=exclusive_high,
        )

    if inside:
        check()
    else:
        with pytest.raises(UsageError, match="rate is"):
            check()


@pytest.mark.parametrize("exclusive", [False, True])
def test_bounds_themselves(exclusive):
    for bound in ({"low": 1.0, "exclusive_low": exclusive}, {"high": 1.0}):
        bound = {**bound} if "low" in bound else {**bound, "exclusive_high": exclusive}
        if exclusive:
            with pytest.raises(UsageError):
                check_range("x", 1.0, **bound)
        else:
            check_range("x", 1.0, **bound)


def test_range_message_says_what_is_accepted():
    with pytest.raises(UsageError) as caught:
        check_range("rate", 1.5, low=0.0, high=1.0, exclusive_high=True)
    assert str(caught.value) == "rate is 1.5, expected at least 0.0 and less than 1.0"
    with pytest.raises(UsageError) as caught:
        check_range("size", 0.0, low=0.0, exclusive_low=True)
    assert str(caught.value) == "size is 0.0, expected greater than 0.0"


def test_nan_lies_in_no_interval():
    with pytest.raises(UsageError, match="nan"):
        check_range("rate", math.nan, low=0.0)
    with pytest.raises(UsageError, match="nan"):
        check_range("rate", math.nan, high=0.0)


def test_infinity_lies_above_a_low_bound_and_not_below_a_high_one():
    check_range("rate", math.inf, low=0.0)
    with pytest.raises(UsageError, match="inf"):
        check_range("rate", math.inf, high=1e6)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: check_distinct("games", ()), "games is empty, expected at least one, and each"),
        (lambda: check_distinct("games", ("a", "b", "a")), "games is a, b, a, expected"),
        (
            lambda: check_multiple("batch_size", 10, "critic_steps", 3),
            "batch_size is 10, expected a multiple of critic_steps, 3",
        ),
    ],
)
def test_lists_and_multiples(check, said):
    check_distinct("games", ("a", "b"))
    check_multiple("batch_size", 12, "critic_steps", 3)
    with pytest.raises(UsageError, match=said):
        check()
