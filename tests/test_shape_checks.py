"""Checks of shapes in the package itself, and their errors as one sentence."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from dl_jax import functional as f
from dl_jax.shape_checks import TypeCheckError, explain
from tests.functional.refused_shapes import CALLS


@pytest.mark.parametrize(("setting", "refused"), [("1", len(CALLS)), ("0", 0)])
def test_shapes_are_checked_without_pytest_unless_turned_off(setting, refused):
    done = subprocess.run(
        [sys.executable, "-m", "tests.functional.refused_shapes"],
        env={
            **os.environ,
            "DL_JAX_SHAPE_CHECKS": setting,
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compilation is what costs
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(refused), done.stderr


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: f.l2_loss(jnp.ones((4, 1)), jnp.ones(4)),
            "l2_loss: targets is float32[4], expected real[*batch features] with features=1, "
            "batch=(4,)",
        ),
        (
            lambda: f.cross_entropy(jnp.ones((4, 4)), jnp.ones(4)),
            "cross_entropy: targets is float32[4], expected integer[*batch] or "
            "float[*batch classes] with classes=4, batch=(4,)",
        ),
        (
            lambda: f.dropout(jnp.ones(4), "a", key=jax.random.key(0)),
            "dropout: rate is 'a', expected float or number or real[]",
        ),
    ],
)
def test_an_error_is_one_sentence(call, sentence):
    with pytest.raises(TypeCheckError) as raised:
        call()
    assert explain(raised.value) == sentence


def test_compiled_code_is_checked_while_traced():
    with pytest.raises(TypeCheckError, match="parameter 'targets'"):
        jax.jit(f.l2_loss)(jnp.ones((4, 1)), jnp.ones(4))


def test_an_error_of_another_form_stays_readable():
    assert explain(TypeCheckError("one\n  two")) == "one two"
