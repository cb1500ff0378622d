"""What every model promises, checked in two compiled programs: its start, and all passes at once.

A test has a table of rows, and a new model is one more:

    check_model(Row(partial(mlp, (4, 3), (8,), 5), images, jax.ShapeDtypeStruct((6, 5), "float32")))
"""

import inspect
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.models import Model, with_compute_dtype
from tests.models.trees import alike, close, layout, leaves, replica

RATE = 0.5


@dataclass(frozen=True, eq=False)
class Row:
    """A model to check.

    Attributes:
        make: `make() -> model`; where it takes a `dropout_rate`, dropout is checked as well.
        inputs: a small batch: any tree of arrays.
        output: shapes and types of what the model gives for it.
        reference: name of the function in `in_torch.py` that computes the same:
            `reference(params, state, inputs, train) -> (output, state)`, of tensors.
        random: pattern of the paths of the parameters that start at random.
        fixed: pattern of the paths of the state that training does not change.
        exact: greatest error where programs that compute the same are compared.
        gradient: greatest error of a gradient from PyTorch's; more where one is zero but for
            rounding, as that of the bias of an attention's keys.
        coarse: greatest error in bfloat16 of the output, and of the gradient as a whole, as
            parts of their size.
        foreign: made of another library's layers, whose dropout rates cannot be traced, and which
            may ask for a key that they do not use.
        eager: compare also with the model as it is when it is not compiled, which takes long.
    """

    make: Callable[..., Model]
    inputs: Any
    output: Any
    reference: str | None = None
    random: str = ".*(kernel|embedding)"
    fixed: str = ""
    exact: float = 1e-4
    gradient: float = 1e-3
    coarse: tuple[float, float] = (0.03, 0.3)
    foreign: bool = False
    eager: bool = False

    @property
    def drops(self) -> bool:
        return "dropout_rate" in inspect.signature(self.make).parameters

    def dropping(self, rate=RATE) -> Model:
        return self.make(dropout_rate=rate) if self.drops else self.make()


class Pass(NamedTuple):
    """A pass forward, and the gradients of a weighted sum of the outputs.

    Attributes:
        output: of the model.
        state: of the model, afterwards.
        gradients: by the parameters, and by the inputs where they are floats.
    """

    output: Any
    state: Any
    gradients: Any


class Passes(NamedTuple):
    """What the second program computes for one of two replicas, and for both under `vmap`."""

    plain: Pass  # in training, without dropout
    dropped: Pass  # in training
    evaluated: Pass
    coarse: Pass  # in training, in bfloat16
    coarsely_evaluated: Any  # output
    replicas: Pass  # in training, under `vmap`


def check_model(row: Row) -> None:
    """Check everything but the comparison with PyTorch, which is `check_reference`."""
    check_shapes(row)
    check_start(row)
    check_gradients(row)
    check_modes(row)
    check_replicas(row)
    check_bfloat16(row)
    if row.drops:
        check_dropout(row)
    if row.eager:
        check_eager(row)


def check_shapes(row: Row) -> None:
    """Outputs are those of the row, parameters are float32, and the state keeps its shapes."""
    model = row.dropping()
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    for train in (False, True):

        def apply(*arguments, train=train):
            return model.apply(*arguments, train=train, key=jax.random.key(0))

        output, after = jax.eval_shape(apply, params, state, row.inputs)
        chex.assert_trees_all_equal_shapes_and_dtypes(output, row.output)
        assert layout(after) == layout(state)


def check_start(row: Row) -> None:
    """Initial values follow the key, and no two layers start with the same numbers."""
    first, swapped = started(row)
    close(first, jax.tree.map(lambda leaf: leaf[::-1], swapped), 1e-6)
    named, others = (dict(leaves(replica(first, i)[0])) for i in (0, 1))
    random = [name for name in named if re.fullmatch(row.random, name)]
    assert [name for name in named if (named[name] != others[name]).any()] == random
    drawn = {name: named[name][named[name] != 0] for name in random}  # some start partly at zero
    first = {name: (values / values.std())[:4] for name, values in drawn.items()}
    for a, b in itertools.combinations(random, 2):
        assert not np.allclose(first[a], first[b], rtol=0.05), f"{a} starts as {b}"


def check_gradients(row: Row) -> None:
    """Every parameter has a gradient."""
    for name, gradient in leaves(passes(row)[0].plain.gradients["params"]):
        assert np.isfinite(gradient).all(), name
        assert gradient.any(), f"{name} has no gradient"


def check_modes(row: Row) -> None:
    """Training alone changes the state; where nothing is random or kept, it is evaluation."""
    _, state = begun(row)
    found = passes(row)[0]
    chex.assert_trees_all_equal(found.evaluated.state, replica(state, 0))
    for (name, before), (_, after) in zip(
        leaves(replica(state, 0)), leaves(found.plain.state), strict=True
    ):
        stays = np.allclose(before, after, atol=1e-6)
        assert stays == bool(re.fullmatch(row.fixed, name)), f"{name} in training"
    if state:
        assert not alike(found.plain.output, found.evaluated.output)
    else:
        close(found.plain, found.evaluated)


def check_replicas(row: Row) -> None:
    """Each of two replicas is a single model with its own parameters, key and rate of dropout."""
    first, second, swapped = passes(row)
    close(replica(first.replicas, 0), first.dropped, row.exact)
    close(replica(second.replicas, 1), second.dropped, row.exact)
    close(replica(swapped.replicas, 0), swapped.dropped, row.exact)
    if not row.foreign:
        close(replica(first.replicas, 1), second.plain, row.exact)
        close(replica(second.replicas, 0), first.plain, row.exact)


def check_bfloat16(row: Row) -> None:
    """Parameters, states and outputs are float32 in another compute type as well."""
    model = row.make()
    assert with_compute_dtype(model, "bfloat16").init is model.init
    found = passes(row)[0]
    chex.assert_trees_all_equal_shapes_and_dtypes(found.coarse, found.plain)
    of_output, of_gradient = row.coarse
    for coarse, exact in (
        (found.coarse.output, found.plain.output),
        (found.coarsely_evaluated, found.evaluated.output),
    ):
        close(coarse, exact, of_output)
        assert not alike(coarse, exact, 1e-5), "it computes in float32"
    coarse, exact = (  # as a whole: where a single one is small, rounding may exceed it
        np.concatenate([np.ravel(leaf) for _, leaf in leaves(gradients)])
        for gradients in (found.coarse.gradients, found.plain.gradients)
    )
    assert np.linalg.norm(coarse - exact) < of_gradient * np.linalg.norm(exact)


def check_dropout(row: Row) -> None:
    """Dropout acts in training alone, by its key, and not without one."""
    first, _, swapped = passes(row)
    assert not alike(first.dropped.output, first.plain.output)
    assert not alike(first.dropped.output, swapped.dropped.output)
    chex.assert_trees_all_equal(first.plain, swapped.plain)
    chex.assert_trees_all_equal(first.evaluated, swapped.evaluated)
    if row.foreign:
        return
    model, weights = row.dropping(), replica(begun(row), 0)
    with pytest.raises(ValueError, match="apply needs `key=`"):
        jax.eval_shape(lambda *weights: model.apply(*weights, row.inputs, train=True), *weights)


def check_eager(row: Row) -> None:
    """Compiled or not is the same."""
    model, weights, key = row.dropping(), replica(begun(row), 0), keys()[0]
    close(replica(started(row)[0], 0), model.init(key), 1e-6)
    for train, found in ((True, passes(row)[0].dropped), (False, passes(row)[0].evaluated)):
        close(found[:2], model.apply(*weights, row.inputs, train=train, key=key))


def check_reference(row: Row) -> None:
    """Outputs, states and gradients are those of PyTorch."""
    torch = pytest.importorskip("torch")
    from tests.models import in_torch

    for train, found in ((True, passes(row)[0].plain), (False, passes(row)[0].evaluated)):
        params, state = jax.tree.map(torch.tensor, replica(begun(row), 0))
        inputs = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), row.inputs)
        differentiated = jax.tree.leaves((inputs, params) if floats(row.inputs) else params)
        for leaf in differentiated:
            leaf.requires_grad_()
        output, after = getattr(in_torch, row.reference)(params, state, inputs, train)
        weights = jax.tree.map(torch.tensor, weights_of(row.output))
        weighted = jax.tree.map(lambda a, b: (a * b).sum(), output, weights)
        sum(jax.tree.leaves(weighted)).backward()
        theirs = jax.tree.map(lambda leaf: leaf.detach().numpy(), (output, after))
        close(found[:2], theirs)
        for gradient, leaf in zip(jax.tree.leaves(found.gradients), differentiated, strict=True):
            close(gradient, leaf.grad.numpy(), row.gradient)


# The two programs.


@cache
def started(row: Row) -> list[Any]:
    """Initial parameters and states of two replicas, and of the same in another order."""
    start = jax.jit(jax.vmap(row.dropping().init))
    return [jax.device_get(start(order)) for order in (keys(), keys()[::-1])]


@cache
def begun(row: Row) -> tuple[Any, Any]:
    """Two replicas somewhat after their start: ones and zeros would hide what is left out."""
    rng, start = np.random.default_rng(0), started(row)[0]

    def moved(name, leaf):
        if leaf.ndim > 2 or leaf.dtype != np.float32:  # kernels are random, counts are whole
            return leaf
        shift = 0 if name.endswith("var") else rng.normal(0, 0.1, leaf.shape)
        return np.float32(leaf * rng.uniform(0.5, 2, leaf.shape) + shift)

    return jax.tree.unflatten(jax.tree.structure(start), [moved(*leaf) for leaf in leaves(start)])


@cache
def passes(row: Row) -> list[Passes]:
    """Of the first replica, of the second, and of the first with the key of the second."""

    @jax.jit
    @partial(chex.assert_max_traces, n=1)
    def program(weights, inputs, keys, rates, index) -> Passes:
        own, key = replica((weights, keys), index)
        half = with_compute_dtype(row.make(), "bfloat16")
        trains = {"train": True, "key": key if row.foreign else None}
        plain = differentiate(row.make(), own, inputs, **trains)

        def dropped(own, key, rate=RATE):
            model = row.dropping(RATE if row.foreign else rate)
            return differentiate(model, own, inputs, train=True, key=key)

        return Passes(
            plain=plain,
            dropped=dropped(own, key) if row.drops else plain,
            evaluated=differentiate(row.dropping(), own, inputs, train=False, key=key),
            coarse=differentiate(half, own, inputs, **trains),
            coarsely_evaluated=half.apply(*own, inputs, train=False)[0],
            replicas=jax.vmap(dropped)(weights, keys, rates),
        )

    chex.clear_trace_counter()
    return [
        jax.device_get(program(begun(row), row.inputs, *arguments))
        for arguments in (
            (keys(), np.array([RATE, 0]), 0),
            (keys(), np.array([0, RATE]), 1),
            (keys()[::-1], np.array([RATE, RATE]), 0),
        )
    ]


def differentiate(model: Model, weights: Any, inputs: Any, **mode: Any) -> Pass:
    """One pass, and gradients of the sum of the outputs times fixed weights."""
    params, state = weights

    def weighted(by):
        output, after = model.apply(by["params"], state, by.get("inputs", inputs), **mode)
        weights = weights_of(output)
        return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, output, weights))), (output, after)

    by = {"params": params} | ({"inputs": inputs} if floats(inputs) else {})
    gradients, (output, after) = jax.grad(weighted, has_aux=True)(by)
    return Pass(output, after, gradients)


def keys() -> jax.Array:
    return jax.random.split(jax.random.key(0), 2)


def weights_of(output: Any) -> Any:
    """A weight for each output."""
    return jax.tree.map(
        lambda leaf: np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape), output
    )


def floats(tree: Any) -> bool:
    return all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(tree))
