"""From sequence to sequence: what counts, and what is right."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.learners import sequence_to_sequence
from dl_jax.models import Model, transformer_seq2seq

TARGET = np.array([[5, 1, 2, 6, 0], [5, 3, 6, 0, 0], [5, 4, 4, 4, 6]], np.int32)
BATCH = {"source": TARGET[:, 1:], "target": TARGET, "index": np.arange(3)}


def parrot(wrong):
    """A model that says what follows, but for the positions of the target that are `wrong`."""

    def apply(params, state, inputs, *, train, key=None):
        said = jnp.asarray(TARGET)[:, 1:]
        assert inputs["target"].shape == said.shape
        said = jnp.where(jnp.asarray(wrong), 7, said)
        return params["scale"] * jax.nn.one_hot(said, 8), state

    return Model(lambda key: ({"scale": jnp.float32(9.0)}, {}), apply)


def measured(model, batch):
    learner = sequence_to_sequence(model, optax.sgd(0.1))
    state = jax.jit(learner.init)(jax.random.key(0))
    return jax.jit(learner.eval_step)(state, batch).means()


def test_padding_does_not_count():
    """Tokens are 3 + 2 + 4; of two targets one token is wrong, and one is wrong in its padding."""
    wrong = np.zeros((3, 4), bool)
    wrong[0, 1] = wrong[2, 3] = wrong[1, 2] = True
    found = measured(parrot(wrong), BATCH)
    np.testing.assert_allclose(found["accuracy"], 7 / 9)
    np.testing.assert_allclose(found["exact"], 1 / 3)
    right = -np.log(np.exp(9) / (np.exp(9) + 7))
    np.testing.assert_allclose(found["loss"], (9 * right + 2 * 9) / 9, rtol=1e-5)
    one = measured(parrot(wrong), BATCH | {"mask": np.array([1, 0, 0])})
    np.testing.assert_allclose([one["accuracy"], one["exact"]], [2 / 3, 0])


def test_a_network_learns_to_say_its_source():
    model = transformer_seq2seq(8, 4, 4, width=16, num_heads=2, num_layers=1)
    learner = sequence_to_sequence(model, optax.adam(0.02))
    state, step = jax.jit(learner.init)(jax.random.key(0)), jax.jit(learner.train_step)
    for _ in range(40):
        state, metrics = step(state, BATCH)
    assert metrics.means()["exact"] == 1


def test_a_batch_without_a_source_is_refused():
    with pytest.raises(UsageError, match="expected a source and a target"):
        measured(parrot(np.zeros((3, 4), bool)), {"target": TARGET, "sources": TARGET})
