"""Transformers beyond the table: what no output may see, and what is refused."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import transformer_lm
from dl_jax.models.transformers.blocks import transformer_blocks

KEY = jax.random.key(0)
SMALL = partial(transformer_lm, 11, 6, width=8, num_heads=2)
TOKENS = np.array([[1, 2, 3, 4]])


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_no_output_depends_on_a_token_after_it(positions):
    """The gradient of each step's outputs by the embedded tokens, each token being another."""
    model = SMALL(num_layers=2, positions=positions, tied=False)
    params, _ = jax.jit(model.init)(KEY)
    tokens = jnp.arange(1, 7)[None]

    def outputs(embedding):
        given = {**params, "embedding": {"embedding": embedding}}
        return model.apply(given, {}, tokens, train=False)[0][0].sum(-1)  # [T]

    by_token = jax.jit(jax.jacrev(outputs))(params["embedding"]["embedding"])[:, 1:7]
    depends = np.abs(np.asarray(by_token)).max(-1) > 0
    np.testing.assert_array_equal(depends, np.tril(np.ones((6, 6), bool)))


def test_blocks_computed_again_are_the_same():
    def gradients(remat):
        blocks = transformer_blocks(8, 2, 3, remat=remat)
        params = blocks.init(KEY)
        x = jax.random.normal(KEY, (2, 5, 8))
        return jax.jit(jax.grad(lambda p: jnp.sin(blocks.apply(p, x, train=False)).sum()))(params)

    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *map(gradients, (False, True))
    )


def test_the_program_does_not_grow_with_the_depth():
    def length(depth):
        model = SMALL(num_layers=depth)
        params = jax.eval_shape(lambda: model.init(KEY)[0])
        loss = lambda p: model.apply(p, {}, TOKENS, train=True)[0].sum()  # noqa: E731
        return len(jax.jit(jax.grad(loss)).lower(params).as_text())

    assert length(24) < 1.05 * length(6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SMALL(num_layers=0), "num_layers=0"),
        (lambda: transformer_lm(11, 0), "max_length=0"),
        (lambda: SMALL(width=9), "width is 9, expected a multiple of the number of heads, 2"),
        (lambda: SMALL(positions="rotated"), "positions is 'rotated', expected one of"),
        (lambda: SMALL(norm="batch"), "norm is 'batch', expected one of layer, rms"),
        (lambda: SMALL(activation="tanh"), "activation is 'tanh', expected one of"),
        (lambda: SMALL(dropout_rate=1.0), "dropout_rate is 1.0"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_transformer_is_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


def test_what_is_too_long_is_refused():
    model = SMALL(num_layers=1)
    params = jax.eval_shape(lambda: model.init(KEY)[0])
    long = jnp.ones((1, 7), jnp.int32)
    with pytest.raises(UsageError, match="got 7 tokens, expected at most 6: its max_length"):
        jax.eval_shape(lambda p: model.apply(p, {}, long, train=False), params)
    with pytest.raises(UsageError, match="got 7 tokens, expected at most 6: its max_length"):
        model.stepper.start(params, 1, 7)
