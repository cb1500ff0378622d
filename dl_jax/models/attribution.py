"""Which parts of an input a network's output rests on."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Shaped

from dl_jax.errors import UsageError
from dl_jax.functional import relu
from dl_jax.models.chain import split
from dl_jax.models.model import Model
from dl_jax.types import Array, Params, State


def grad_cam(
    model: Model,
    params: Params,
    state: State,
    images: Shaped[Array, "batch height width channels"],
    classes: Int[Array, " batch"],
    layer: str,
) -> Float[jax.Array, "batch rows columns"]:
    """Where in a layer there is evidence for a class, as the network is in evaluation.

    The layer's channels are added up, each weighted by the mean, over all places, of the derivative
    of the class's logit with respect to it; what speaks against the class is cut off at zero.

    Args:
        model: a chain from images to logits.
        params: of the model.
        state: of the model.
        images: as the model takes them.
        classes: whose evidence is sought, one for each image.
        layer: of the chain, whose output is `[batch, rows, columns, channels]`; the last such is
            the usual choice.

    Returns:
        Not negative, in the logits' unit times the layer's; as coarse as the layer is.

    Raises:
        UsageError: the model is no chain, has no such layer, or its output has no rows and columns.

    Source: Selvaraju et al. (2017), arXiv:1610.02391, equations 1 and 2.
    """
    before, after = split(model, layer)
    maps, _ = before.apply(params, state, images, train=False)
    if maps.ndim != 4:
        raise UsageError(
            f"the output of layer {layer!r} has shape {maps.shape}, expected [batch, rows, "
            "columns, channels]: choose an earlier layer"
        )

    def evidence(maps: Array) -> jax.Array:
        logits, _ = after.apply(params, state, maps, train=False)
        return jnp.take_along_axis(logits, classes[:, None], axis=-1).sum()

    weights = jax.grad(evidence)(maps).mean((1, 2), keepdims=True)
    return relu((weights * maps).sum(-1))
