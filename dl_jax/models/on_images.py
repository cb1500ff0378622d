"""A network of floats on images as they are stored."""

from jaxtyping import DTypeLike, Float
from numpy import ndarray

from dl_jax.models.model import Model
from dl_jax.models.transformations import standardize, with_compute_dtype, with_preprocessing

Statistics = tuple[Float[ndarray, " channels"], Float[ndarray, " channels"]]


def on_images(model: Model, statistics: Statistics, compute_dtype: DTypeLike = "float32") -> Model:
    """`model` on uint8 images, which are standardized; it computes in `compute_dtype`.

    The images are standardized in float32: the 8 bits of a bfloat16 lose no pixel.

    Args:
        model: takes floats `[batch, height, width, channels]`.
        statistics: mean and std of each channel, as `dl_jax.data.image_statistics` gives them.
        compute_dtype: as for `with_compute_dtype`; parameters and outputs remain float32.

    Raises:
        UsageError: as for `standardize` and `with_compute_dtype`.
    """
    return with_preprocessing(with_compute_dtype(model, compute_dtype), standardize(*statistics))
