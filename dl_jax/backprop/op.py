"""A function and its derivative, written by hand, and chains of such pairs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl_jax.types import Params, Tree


class Op(NamedTuple):
    """A function taken forward and backward.

    forward: `forward(*operands) -> (output, residuals)`; the residuals are what the way back needs.
    backward: `backward(residuals, cotangent) -> cotangents`, a tuple with one for each operand: the
        gradient of a loss with respect to the operand, given the gradient with respect to the
        output. None stands for an operand that has no gradient (indices, random keys).
    parameters: names of the operands after the first, where they are a layer's parameters.
    """

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], tuple[Any, ...]]
    parameters: tuple[str, ...] = ()


def differentiable(pair: Op) -> Callable[..., Any]:
    """The function of a pair, for whose gradient JAX uses the pair's own backward pass."""
    function = jax.custom_vjp(lambda *operands: pair.forward(*operands)[0])
    function.defvjp(pair.forward, pair.backward)
    return function


def chain(layers: Mapping[str, Op]) -> Op:
    """The pairs one after the other, with the operands `(params, x)`.

    Forward, each layer's output is the next one's input. Backward, the cotangents pass the layers
    in reverse order, and each leaves behind the gradient of its parameters: that is
    backpropagation.

    Args:
        layers: by name, in order; the parameters of layer `dense1` are `params["dense1"]`. Layers
            without parameters have no entry there. Layers that take more than that, such as
            dropout with its random key, do not go into a chain.

    Source: Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors".
    """

    def forward(params: Params, x: Array) -> tuple[Array, dict[str, Any]]:
        residuals = {}
        for name, layer in layers.items():
            own = [params[name][parameter] for parameter in layer.parameters]
            x, residuals[name] = layer.forward(x, *own)
        return x, residuals

    def backward(residuals: dict[str, Any], g: Array) -> tuple[Params, Array]:
        gradients: Params = {}
        for name, layer in reversed(list(layers.items())):
            g, *own = layer.backward(residuals[name], g)
            if layer.parameters:
                gradients[name] = dict(zip(layer.parameters, own, strict=True))
        return gradients, g

    return Op(forward, backward)


def mean_loss(
    network: Op, loss: Op, params: Params, inputs: Array, targets: Array
) -> tuple[Float[Array, " batch"], Array, Tree]:
    """The losses of a batch, the network's outputs, and the gradient of the mean loss.

    Args:
        network: a chain.
        loss: a pair with one loss per example.
        params: of the network.
        inputs: a batch.
        targets: a batch.
    """
    outputs, of_network = network.forward(params, inputs)
    losses, of_loss = loss.forward(outputs, targets)
    g = jnp.full_like(losses, 1 / losses.size)  # d mean(losses) / d losses
    g = loss.backward(of_loss, g)[0]
    gradients, _ = network.backward(of_network, g)
    return losses, outputs, gradients
