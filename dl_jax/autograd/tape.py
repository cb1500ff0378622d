"""Reverse-mode automatic differentiation on a tape of NumPy operations.

Every operation returns a `Tensor` that records its sources and how to compute their cotangents from
its own. `backward` walks this graph from the result to the leaves and sums the cotangents.

Source: Linnainmaa (1970); Baydin et al. (2018), arXiv:1502.05767, section 3.2.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = Any  # an array, or the scalar that NumPy returns in place of one without axes
Value: TypeAlias = Union["Tensor", Array, float, int]
Axes: TypeAlias = int | tuple[int, ...] | None
Pullback: TypeAlias = Callable[[Array], Array]
"""From the cotangent of a result to that of one of its sources."""

SPENT = "the graph was already used by backward, which frees it: compute its tensors again"
_recording = [True]


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """While entered, nothing is recorded: results are constants."""
    _recording.append(False)
    try:
        yield
    finally:
        _recording.pop()


class Tensor:
    """An array that records how it was computed.

    Attributes:
        value: the array.
        grad: after `backward`, the derivative of the result with respect to this tensor, in the
            type of `value`; None before, and if the result does not depend on it.
        requires_grad: whether derivatives are computed for it.
    """

    __array_priority__ = 1000  # NumPy leaves `array + tensor` to the tensor

    def __init__(self, value: Any, *, requires_grad: bool = False) -> None:
        """A leaf: a constant, or with `requires_grad` a variable."""
        self.value = np.asarray(value)
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self._sources: tuple[tuple[Tensor, Pullback], ...] = ()
        self._spent = False
        if requires_grad and not np.issubdtype(self.value.dtype, np.floating):
            raise TypeError(
                f"a tensor of type {self.value.dtype} has no derivative: give it floating-point "
                "numbers"
            )

    def __repr__(self) -> str:
        return f"Tensor({self.value!r}{', requires_grad=True' if self.requires_grad else ''})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.value.shape

    # Backward.

    def backward(self, cotangent: Array | None = None) -> None:
        """Add to the `grad` of every tensor that this one depends on, and free the graph.

        Args:
            cotangent: derivative of the final result with respect to this tensor; 1 if None, and
                then this must be a single number.

        Raises:
            RuntimeError: nothing requires a derivative; the graph was already freed or has a cycle.
            ValueError: the cotangent has another shape, or is missing for more than one number.
        """
        if not self.requires_grad:
            raise RuntimeError("backward from a constant: nothing that made it requires a gradient")
        if cotangent is None:
            if self.value.size != 1:
                raise ValueError(
                    f"backward from a tensor of shape {self.shape} needs a cotangent of that shape"
                )
            cotangent = np.ones_like(self.value)
        cotangent = np.asarray(cotangent, self.value.dtype)
        if cotangent.shape != self.shape:
            raise ValueError(f"the cotangent has shape {cotangent.shape}, expected {self.shape}")
        cotangents = {id(self): cotangent}
        for tensor in _ordered(self):
            g = cotangents.pop(id(tensor))
            tensor.grad = np.array(g) if tensor.grad is None else tensor.grad + g
            for source, pullback in tensor._sources:
                contribution = pullback(g)
                before = cotangents.get(id(source))
                cotangents[id(source)] = contribution if before is None else before + contribution
            if tensor._sources:
                tensor._sources, tensor._spent = (), True

    # Arithmetic.

    def __add__(self, other: Value) -> "Tensor":
        a, b = self, _tensor(other, self)
        return _result(a.value + b.value, (a, lambda g: g), (b, lambda g: g))

    def __mul__(self, other: Value) -> "Tensor":
        a, b = self, _tensor(other, self)
        x, y = a.value, b.value
        return _result(x * y, (a, lambda g: g * y), (b, lambda g: g * x))

    def __truediv__(self, other: Value) -> "Tensor":
        a, b = self, _tensor(other, self)
        x, y = a.value, b.value
        return _result(x / y, (a, lambda g: g / y), (b, lambda g: -g * x / y**2))

    def __pow__(self, exponent: Value) -> "Tensor":
        a, b = self, _tensor(exponent, self)
        x, n = a.value, b.value
        # The derivative of x^0 is 0, not 0 * 0^-1; that of 0^n with respect to n, not 0 * log(0).
        z, base = x**n, np.where((x == 0) & (n >= 0), 1, x)
        to_a: Pullback = lambda g: g * n * x ** (n - (n != 0))  # noqa: E731
        return _result(z, (a, to_a), (b, lambda g: g * z * np.log(base)))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> "Tensor":
        return _result(-self.value, (self, lambda g: -g))

    def __sub__(self, other: Value) -> "Tensor":
        return self + -_tensor(other, self)

    def __rsub__(self, other: Value) -> "Tensor":
        return _tensor(other, self) + -self

    def __rtruediv__(self, other: Value) -> "Tensor":
        return _tensor(other, self) / self

    def __rpow__(self, base: Value) -> "Tensor":
        return _tensor(base, self) ** self

    def __rmatmul__(self, other: Value) -> "Tensor":
        return _tensor(other, self) @ self

    def __matmul__(self, other: Value) -> "Tensor":
        """Matrix products of the last two axes, the others broadcast; vectors as in NumPy."""
        a, b = self, _tensor(other, self)
        if not (a.shape and b.shape):
            raise ValueError("a matrix product needs at least one axis on each side, use * instead")
        if len(b.shape) == 1:  # a column, whose axis of length 1 the product does not have
            columns = a @ b.reshape(-1, 1)
            return columns.reshape(*columns.shape[:-1])
        if len(a.shape) == 1:  # a row
            rows = a.reshape(1, -1) @ b
            return rows.reshape(*rows.shape[:-2], rows.shape[-1])
        x, y = a.value, b.value
        to_a: Pullback = lambda g: g @ y.swapaxes(-1, -2)  # noqa: E731
        return _result(x @ y, (a, to_a), (b, lambda g: x.swapaxes(-1, -2) @ g))

    # Elementwise.

    def exp(self) -> "Tensor":
        """Exponential; its derivative is itself."""
        y = np.exp(self.value)
        return _result(y, (self, lambda g: g * y))

    def log(self) -> "Tensor":
        """Natural logarithm."""
        x = self.value
        return _result(np.log(x), (self, lambda g: g / x))

    def relu(self) -> "Tensor":
        """`max(x, 0)`, with derivative 0 at 0."""
        y = np.maximum(self.value, 0)
        return _result(y, (self, lambda g: g * (y != 0)))

    def tanh(self) -> "Tensor":
        """Hyperbolic tangent."""
        y = np.tanh(self.value)
        return _result(y, (self, lambda g: g * (1 - y**2)))

    def sigmoid(self) -> "Tensor":
        """`1 / (1 + exp(-x))`, computed by its logarithm, without overflow or cancellation."""
        y = np.exp(-np.logaddexp(0, -self.value))
        return _result(y, (self, lambda g: g * y * (1 - y)))

    # Along axes.

    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> "Tensor":
        """Sum over `axis`, or over all axes if None."""
        y = self.value.sum(axis, keepdims=keepdims)
        return _result(y, (self, lambda g: _spread(g, axis, keepdims, self.shape)))

    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> "Tensor":
        """Mean over `axis`, or over all axes if None."""
        total = self.sum(axis, keepdims=keepdims)
        return total * (max(1, total.value.size) / max(1, self.value.size))

    def max(self, axis: Axes = None, *, keepdims: bool = False) -> "Tensor":
        """Maximum over `axis`; equal maxima share the derivative equally."""
        y = self.value.max(axis, keepdims=True)
        chosen = self.value == y
        share = (chosen / chosen.sum(axis, keepdims=True)).astype(y.dtype)
        value = y if keepdims else self.value.max(axis)
        return _result(value, (self, lambda g: share * _spread(g, axis, keepdims, self.shape)))

    def reshape(self, *shape: int) -> "Tensor":
        """The same elements in another shape."""
        return _result(self.value.reshape(shape), (self, lambda g: g.reshape(self.shape)))

    def transpose(self, *axes: int) -> "Tensor":
        """Axes permuted, or reversed if no order is given."""
        order = axes or tuple(reversed(range(self.value.ndim)))
        back = tuple(int(i) for i in np.argsort([axis % self.value.ndim for axis in order]))
        return _result(self.value.transpose(order), (self, lambda g: g.transpose(back)))

    def __getitem__(self, index: Any) -> "Tensor":
        """Indexing as in NumPy; the derivative of an element sums over its occurrences."""

        def back(g: Array) -> Array:
            whole = np.zeros(self.shape, g.dtype)
            np.add.at(whole, index, g)
            return whole

        return _result(self.value[index], (self, back))


def _tensor(value: Value, beside: Tensor) -> Tensor:
    if isinstance(value, int | float):  # a Python number takes the type of the other operand
        value = np.asarray(value, np.result_type(beside.value, value))
    return value if isinstance(value, Tensor) else Tensor(value)


def _result(value: ArrayLike, *sources: tuple[Tensor, Pullback]) -> Tensor:
    """A tensor computed from others; it records those that require a derivative."""
    for source, _ in sources:
        if source._spent:
            raise RuntimeError(SPENT)
    result = Tensor(value)
    if _recording[-1]:
        needed = [(s, pullback) for s, pullback in sources if s.requires_grad]
        result._sources = tuple((s, _unbroadcast(pullback, s)) for s, pullback in needed)
        result.requires_grad = bool(result._sources)
    return result


def _unbroadcast(pullback: Pullback, source: Tensor) -> Pullback:
    """`pullback`, then the sum over the axes that were broadcast, in the type of the source."""

    def back(g: Array) -> Array:
        g = np.asarray(pullback(g), source.value.dtype)
        if g.shape == source.shape:
            return g
        g = g.sum(tuple(range(g.ndim - source.value.ndim)))
        return g.sum(tuple(i for i, n in enumerate(source.shape) if n == 1), keepdims=True)

    return back


def _spread(g: Array, axis: Axes, keepdims: bool, shape: tuple[int, ...]) -> Array:
    """The cotangent of a reduction, broadcast over the axes that were reduced."""
    if not keepdims:
        axes = range(len(shape)) if axis is None else np.atleast_1d(axis).tolist()
        g = np.expand_dims(g, tuple(axes))
    return np.broadcast_to(g, shape)


def _ordered(root: Tensor) -> list[Tensor]:
    """All tensors that `root` depends on, each before its own sources.

    With an explicit stack instead of recursion: a graph may be deeper than Python's stack.
    """
    if root._spent:
        raise RuntimeError(SPENT)
    finished: list[Tensor] = []
    state = {id(root): "open"}
    stack = [(root, iter(root._sources))]
    while stack:
        tensor, sources = stack[-1]
        for source, _ in sources:
            if source._spent:
                raise RuntimeError(SPENT)
            seen = state.get(id(source))
            if seen == "open":
                raise RuntimeError("the graph has a cycle: a tensor depends on itself")
            if seen is None:
                state[id(source)] = "open"
                stack.append((source, iter(source._sources)))
                break
        else:
            state[id(tensor)] = "done"
            finished.append(tensor)
            stack.pop()
    return finished[::-1]
