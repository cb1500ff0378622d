"""Operations of the tape beside JAX's, and random expressions made of them."""

import jax
import jax.numpy as jnp
from hypothesis import strategies as st

# Every operation, written once for tensors and once for JAX's arrays.
UNARY = {
    "exp": (lambda x: (x * 0.3).exp(), lambda x: jnp.exp(x * 0.3)),
    "log": (lambda x: (x * x + 1).log(), lambda x: jnp.log(x * x + 1)),
    "relu": (lambda x: x.relu(), jax.nn.relu),
    "tanh": (lambda x: x.tanh(), jnp.tanh),
    "sigmoid": (lambda x: x.sigmoid(), jax.nn.sigmoid),
    "negative": (lambda x: -x, lambda x: -x),
    "cube": (lambda x: x**3, lambda x: x**3),
    "root": (lambda x: (x**2 + 1) ** 0.5, lambda x: jnp.sqrt(x**2 + 1)),
    "power of two": (lambda x: 2.0**x, lambda x: 2.0**x),
    "reciprocal": (lambda x: 1 / (x**2 + 1), lambda x: 1 / (x**2 + 1)),
    "from one": (lambda x: 1.0 - x, lambda x: 1 - x),
    "transpose": (lambda x: x.transpose(), lambda x: x.T),
    "flatten": (lambda x: x.reshape(-1), lambda x: x.reshape(-1)),
    "column": (lambda x: x.reshape(-1, 1), lambda x: x.reshape(-1, 1)),
    "rows twice": (lambda x: x[[0, 0, -1]], lambda x: x[jnp.array([0, 0, -1])]),
    "reversed": (lambda x: x[::-1], lambda x: x[::-1]),
    "mean kept": (lambda x: x.mean(0, keepdims=True), lambda x: x.mean(0, keepdims=True)),
    "sum of last": (lambda x: x.sum(-1), lambda x: x.sum(-1)),
    "max of first": (lambda x: x.max(0), lambda x: x.max(0)),
    "max kept": (lambda x: x.max(-1, keepdims=True), lambda x: x.max(-1, keepdims=True)),
}
BINARY = {
    "add": (lambda a, b: a + b,) * 2,
    "subtract": (lambda a, b: a - b,) * 2,
    "multiply": (lambda a, b: a * b,) * 2,
    "divide": (lambda a, b: a / (b * b + 1),) * 2,
    "outer": (
        lambda a, b: a.reshape(-1, 1) @ b.reshape(1, -1),
        lambda a, b: a.reshape(-1, 1) @ b.reshape(1, -1),
    ),
    "inner": (
        lambda a, b: a.transpose() @ (a * b.mean()),
        lambda a, b: a.T @ (a * b.mean()),
    ),
}
STARTS = [(3, 4), (1, 4), (3, 1), (4,), ()]


@st.composite
def programs(draw):
    """Steps of an expression: an operation and the places of its operands among what there is."""
    steps = []
    for count in range(len(STARTS), len(STARTS) + draw(st.integers(1, 8))):
        place = st.integers(0, count - 1)
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from(sorted(UNARY))), draw(place)))
        else:
            steps.append((draw(st.sampled_from(sorted(BINARY))), draw(place), draw(place)))
    return steps


def run(steps, values, which):
    """Sum of squashed results; a step that its operands do not allow is left out."""
    values = list(values)
    for name, *places in steps:
        operands = [values[place] for place in places]
        function = (UNARY if len(places) == 1 else BINARY)[name][which]
        scalar = any(len(operand.shape) == 0 for operand in operands)
        needs_axes = name in ("rows twice", "reversed", "mean kept", "sum of last", "max of first",
                              "max kept", "inner")  # fmt: skip
        if scalar and needs_axes:
            result = operands[0] * 0.5
        else:
            try:
                result = function(*operands)
            except (ValueError, TypeError):  # shapes that do not fit, the same for both
                result = operands[0] * 0.5
        values.append(result * 0.5)  # lest it grows without bound
    total = 0.0
    for value in values:
        total = total + (value.tanh() if which == 0 else jnp.tanh(value)).sum()
    return total
