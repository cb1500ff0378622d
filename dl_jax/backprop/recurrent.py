"""Recurrent networks: backpropagation through time."""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.backprop.op import Op
from dl_jax.types import Array, Params

Sequence = Float[Array, "batch time features"]
Hidden = Float[Array, "batch hidden"]


def rnn() -> Op:
    """`h_t = tanh(x_t W + h_{t-1} U + b)`, operands `(params, h_0, x)`, output `(h_T, all h_t)`.

    Each `h_t` is used twice, as output and by the next step, and its cotangent is the sum of both.
    From the last step to the first, with the pre-activation a,

        dh_t = g_t + da_{t+1} U^T        da_t = (1 - h_t^2) dh_t
        dW = sum_t x_t^T da_t        dU = sum_t h_{t-1}^T da_t        db = sum_t da_t

    The sums over time are one product each, after the loop.
    """

    def forward(params: Params, carry: Hidden, inputs: Sequence) -> tuple[Any, Any]:
        kernel = params["hidden"]["kernel"]
        driven = _drive(params, inputs)  # [B, T, H]

        def step(h: Array, a: Array) -> tuple[Array, Array]:
            h = jnp.tanh(a + h @ kernel)
            return h, h

        last, hs = lax.scan(step, carry, _time_first(driven))
        hs = _time_first(hs)  # [B, T, H]
        return (last, hs), (params, carry, inputs, hs)

    def backward(residuals: Any, g: tuple[Array, Array]) -> tuple[Params, Array, Array]:
        params, carry, inputs, hs = residuals
        g_last, g_hs = g
        kernel = params["hidden"]["kernel"]

        def step(dh: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
            g_t, h = at
            da = (1 - h**2) * (g_t + dh)
            return da @ kernel.T, da

        steps = _time_first(g_hs), _time_first(hs)
        dcarry, das = lax.scan(step, g_last, steps, reverse=True)
        before = jnp.concatenate([carry[:, None], hs[:, :-1]], axis=1)
        return _gather(params, inputs, before, _time_first(das), dcarry)

    return Op(forward, backward)


def lstm() -> Op:
    """Long short-term memory, operands `(params, (c_0, h_0), x)`, output `((c_T, h_T), all h_t)`.

    With the pre-activations a = x W + h U + b in the order i, f, n, o,

        c_t = f c_{t-1} + i n        h_t = o tanh(c_t)

    Two cotangents go back in time. On the direct path, that of the cell state is multiplied at each
    step only by the forget gate, which is why an LSTM remembers longer than a plain network:

        dc_t = dh_t o (1 - tanh(c_t)^2) + f_{t+1} dc_{t+1}
        di = n dc,   df = c_{t-1} dc,   dn = i dc,   do = tanh(c_t) dh

    each times the slope of its gate, `s (1 - s)` or `1 - n^2`, gives `da_t`; the rest is as in
    `rnn`.
    """

    def forward(params: Params, carry: tuple[Hidden, Hidden], inputs: Sequence) -> tuple[Any, Any]:
        kernel = params["hidden"]["kernel"]

        def step(carry: Any, a: Array) -> tuple[Any, Any]:
            c, h = carry
            i, f, n, o = jnp.split(a + h @ kernel, 4, axis=-1)
            i, f, o = (1 / (1 + jnp.exp(-gate)) for gate in (i, f, o))
            n = jnp.tanh(n)
            new = f * c + i * n
            h = o * jnp.tanh(new)
            return (new, h), (h, (i, f, n, o, c, new))

        last, (hs, gates) = lax.scan(step, carry, _time_first(_drive(params, inputs)))
        hs = _time_first(hs)
        return (last, hs), (params, carry, inputs, hs, gates)

    def backward(residuals: Any, g: Any) -> tuple[Params, Any, Array]:
        params, carry, inputs, hs, gates = residuals
        g_last, g_hs = g
        kernel = params["hidden"]["kernel"]

        def step(back: tuple[Array, Array], at: Any) -> tuple[tuple[Array, Array], Array]:
            dc, dh = back
            g_t, (i, f, n, o, c, new) = at
            dh = dh + g_t
            squashed = jnp.tanh(new)
            dc = dc + dh * o * (1 - squashed**2)
            da = jnp.concatenate(
                [
                    n * dc * i * (1 - i),
                    c * dc * f * (1 - f),
                    i * dc * (1 - n**2),
                    squashed * dh * o * (1 - o),
                ],
                axis=-1,
            )
            return (f * dc, da @ kernel.T), da

        dcarry, das = lax.scan(step, g_last, (_time_first(g_hs), gates), reverse=True)
        before = jnp.concatenate([carry[1][:, None], hs[:, :-1]], axis=1)
        return _gather(params, inputs, before, _time_first(das), dcarry)

    return Op(forward, backward)


def _time_first(x: Array) -> Array:
    """`[B, T, ...]` to `[T, B, ...]`, and back."""
    return jnp.swapaxes(x, 0, 1)


def _drive(params: Params, inputs: Sequence) -> Array:
    """`x_t W + b` of all steps in one product, as it does not depend on earlier steps."""
    driven = inputs @ params["input"]["kernel"]
    bias = params["input"]["bias"] + params["hidden"]["bias"]
    return driven + jnp.broadcast_to(bias, driven.shape)


def _gather(
    params: Params, inputs: Sequence, before: Array, das: Array, dcarry: Any
) -> tuple[Params, Any, Array]:
    """The cotangents of parameters, first carry and inputs, from those of all pre-activations."""
    dbias = das.sum((0, 1))
    gradients = {
        "input": {"kernel": jnp.einsum("btf,bth->fh", inputs, das), "bias": dbias},
        "hidden": {"kernel": jnp.einsum("btg,bth->gh", before, das), "bias": dbias},
    }
    return gradients, dcarry, das @ params["input"]["kernel"].T
