"""One image on its axes."""

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes


def show_image(axes: Axes, image: Shaped[np.ndarray, "height width channels"]) -> None:
    """Draw an image, gray or color, on the scale of its type, so that images can be compared.

    Args:
        axes: drawn on.
        image: uint8, or floats in [0, 1]; one channel, or three.
    """
    gray = image.shape[-1] == 1
    axes.imshow(
        image[..., 0] if gray else image,
        cmap="gray" if gray else None,
        vmin=0,
        vmax=255 if image.dtype == np.uint8 else 1,
        interpolation="nearest",
    )
