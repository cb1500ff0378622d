"""Random values in place of initial ones: ones and zeros would hide what is left out."""

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax.paths import path_names


def randomized(tree, seed=0):
    """The tree with random leaves; variances are positive."""
    rng = np.random.default_rng(seed)
    leaves = [
        rng.uniform(0.5, 2, leaf.shape) if name.endswith("var") else rng.normal(0, 0.5, leaf.shape)
        for name, leaf in zip(path_names(tree), jax.tree.leaves(tree), strict=True)
    ]
    leaves = [jnp.asarray(leaf, jnp.float32) for leaf in leaves]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)
