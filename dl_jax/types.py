"""Types of what passes between packages: arrays, keys, parameters, states and batches."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Key, Real

Array: TypeAlias = jax.Array | np.ndarray
"""An argument of a public function: an array of JAX or of NumPy. Results are `jax.Array`."""

Scalar: TypeAlias = float | np.number | Real[Array, ""]
"""One real number: a rate, a momentum; it may be traced, so that a sweep can map over it."""

Count: TypeAlias = int | np.integer
"""An integer that a shape depends on, so it cannot be traced."""

PRNGKey: TypeAlias = Key[jax.Array, ""]
"""One typed random key, as made by `jax.random.key`."""

Params: TypeAlias = dict[str, Any]
"""Nested dict of parameter arrays; leaves are named as Flax names them (`kernel`, `bias`, ...)."""

State: TypeAlias = dict[str, Any]
"""Nested dict of what changes outside the gradient (running statistics), or `{}`."""

Leaf: TypeAlias = Any
"""A leaf of a pytree: an array, a `jax.ShapeDtypeStruct` or a sharding."""

Batch: TypeAlias = Mapping[str, Leaf]
"""Arrays under TFDS's feature names (`image`, `label`, ...); `mask` marks examples that count."""

Tree: TypeAlias = Any
"""Any pytree of arrays, shapes or shardings."""

NOT_METRICS = ("row", "step", "epoch", "split", "seconds")
"""What stands in a row of `metrics.jsonl` beside its metrics."""
