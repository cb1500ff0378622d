"""The shapes that pass between the floors: keys, parameters, states and batches."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from jaxtyping import Array, Key

PRNGKey: TypeAlias = Key[Array, ""]
"""One typed random key, as made by `jax.random.key`."""

Params: TypeAlias = dict[str, Any]
"""Nested dict of parameter arrays; leaves are named as Flax names them (`kernel`, `bias`, ...)."""

State: TypeAlias = dict[str, Any]
"""Nested dict of what changes outside the gradient (running statistics), or `{}`."""

Leaf: TypeAlias = Any
"""An array of a tree, or what stands for it while trees are transformed: a shape, a sharding."""

Batch: TypeAlias = Mapping[str, Leaf]
"""Arrays under TFDS's feature names (`image`, `label`, ...); `mask` marks examples that count."""

Tree: TypeAlias = Any
"""Any pytree of arrays, or of what stands for them."""
