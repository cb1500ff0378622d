"""A small classification problem that the tests of learners share, and its compiled learners."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax.functional import cross_entropy
from dl_jax.learners import supervised
from dl_jax.models import cnn, mlp

SHAPE, CLASSES = (4, 4, 1), 3
KEY = jax.random.key(3)
ADAM, SGD = optax.adam(1e-2), optax.sgd(0.5)

make_mlp = partial(mlp, SHAPE, (8,), CLASSES)
make_cnn = partial(cnn, SHAPE, [(4,), (8,)], CLASSES)
make_dropping_mlp = partial(make_mlp, dropout_rate=0.5)


def make_batch(size=8, seed=0, *, streams=(), mask=None):
    """Images that show their labels, with leading axes of streams."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=(*streams, size))
    images = rng.normal(size=(*streams, size, *SHAPE)) + labels[..., None, None, None]
    batch = {"image": jnp.asarray(images, jnp.float32), "label": jnp.asarray(labels)}
    return batch if mask is None else {**batch, "mask": jnp.asarray(mask)}


@cache
def make_learner(make_model=make_mlp, optimizer=ADAM, **options):
    """One learner for the same arguments, so that its steps are compiled once."""
    return supervised(make_model(), cross_entropy, optimizer, **options)


compiled = cache(jax.jit)


@cache
def started(learner):
    """The state in which training begins."""
    return jax.jit(learner.init)(KEY)


def train(learner, state, batches):
    """The state and the last metrics after one compiled step for each batch."""
    step = compiled(learner.train_step)
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


def one_step(learner, batch):
    return train(learner, started(learner), [batch])


def evaluate(learner, state, batch):
    return compiled(learner.eval_step)(state, batch)


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
