"""A small classification problem that the tests of learners share."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax.functional import cross_entropy
from dl_jax.learners import supervised
from dl_jax.models import cnn, mlp

SHAPE, CLASSES = (4, 4, 1), 3


def make_batch(size=8, seed=0, *, streams=(), mask=None):
    """Images that show their labels, with leading axes of streams."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=(*streams, size))
    images = rng.normal(size=(*streams, size, *SHAPE)) + labels[..., None, None, None]
    batch = {"image": jnp.asarray(images, jnp.float32), "label": jnp.asarray(labels)}
    return batch if mask is None else {**batch, "mask": jnp.asarray(mask)}


def make_mlp(**options):
    return mlp(SHAPE, (8,), CLASSES, **options)


def make_cnn(**options):
    return cnn(SHAPE, [(4,), (8,)], CLASSES, **options)


def make_learner(model=None, optimizer=None, **options):
    model = make_mlp() if model is None else model
    optimizer = optax.adam(1e-2) if optimizer is None else optimizer
    return supervised(model, cross_entropy, optimizer, **options)


def train(learner, state, batches):
    """The state and the last metrics after one compiled step for each batch."""
    step = jax.jit(learner.train_step)
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


def replica_of(tree, *index):
    """Replica `index` of a tree of several."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def close(actual, expected, tolerance=1e-5):
    """Trees equal to a tolerance, keys included."""
    leaves = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    for a, b in leaves:
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)
