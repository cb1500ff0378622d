"""Which parts of an input a network's output rests on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Integer, Shaped

from dl_jax.errors import UsageError
from dl_jax.functional import log_softmax, relu
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


def occlusion(
    model: Model, params: Params, state: State, tokens: Integer[Array, " time"], label: int
) -> Float[np.ndarray, " time"]:
    """What each token of a text says for a class: how much its log-probability falls without it.

    The text is read once as it is, and once without each of its tokens, as the network is in
    evaluation.

    Args:
        model: maps tokens `[batch, time]` to logits.
        params: of the model.
        state: of the model.
        tokens: of one text, padded with 0.
        label: the class.

    Returns:
        Positive for a token that speaks for the class, negative for one that speaks against it, 0
        in the padding.

    Source: Li, Monroe and Jurafsky (2016), arXiv:1612.08220, section 2.
    """
    tokens = np.asarray(tokens)
    length = int(np.count_nonzero(tokens))
    texts = np.tile(tokens, (len(tokens) + 1, 1))  # the last is whole
    for place in range(length):
        texts[place, place:-1] = tokens[place + 1 :]
        texts[place, -1] = 0
    logits, _ = model.apply(params, state, texts, train=False)
    found = np.asarray(log_softmax(logits)[:, label])
    return np.where(np.arange(len(tokens)) < length, found[-1] - found[:-1], 0)
