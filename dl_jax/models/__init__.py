"""Models: `(init, apply)` pairs, one architecture a file."""

from dl_jax.models.cnn import cnn
from dl_jax.models.flax_bridge import from_linen, from_nnx
from dl_jax.models.mlp import mlp
from dl_jax.models.model import Model, layer_key
from dl_jax.models.transformations import standardize, with_compute_dtype, with_preprocessing

__all__ = [
    "Model",
    "cnn",
    "from_linen",
    "from_nnx",
    "layer_key",
    "mlp",
    "standardize",
    "with_compute_dtype",
    "with_preprocessing",
]
