"""Operations with derivatives written by hand, and chains of them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.types import Array, Params, Tree


class Op(NamedTuple):
    """A function and its derivative: a forward and a backward pass.

    forward: `forward(*operands) -> (output, residuals)`; the residuals are what `backward` needs.
    backward: `backward(residuals, cotangent) -> cotangents`, a tuple with one for each operand: the
        gradient of a loss with respect to the operand, given the gradient with respect to the
        output. It is None for an operand without gradient (indices, random keys).
    parameters: names of the operands after the first, if they are the parameters of a layer.
    """

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], tuple[Any, ...]]
    parameters: tuple[str, ...] = ()


def differentiable(op: Op) -> Callable[..., Any]:
    """The function of an operation; JAX differentiates it by the operation's own backward pass."""
    function = jax.custom_vjp(lambda *operands: op.forward(*operands)[0])
    function.defvjp(op.forward, op.backward)
    return function


def chain(layers: Mapping[str, Op]) -> Op:
    """The layers one after the other, with the operands `(params, x)`.

    Forward, the output of each layer is the input of the next. Backward, the cotangent passes the
    layers in reverse order, and each layer returns the gradient of its parameters: this is
    backpropagation.

    Args:
        layers: by name, in order; the parameters of layer `dense1` are `params["dense1"]`. Layers
            without parameters have no entry there. Layers with other operands, such as dropout with
            its random key, cannot be part of a chain.

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
        loss: an operation with one loss per example.
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
