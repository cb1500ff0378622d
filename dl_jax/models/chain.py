"""Networks made of layers: chains, residual blocks, and what their layers compute.

    model = chain({"conv1": conv(3, 64), "norm1": norm(64), "relu1": relu})

A layer is a model or a plain function. Its parameters and its state have its name, so that paths in
nested chains read `layer2_0/conv1/kernel`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError, check_choice, nearest
from dl_jax.models.layer_errors import in_layer
from dl_jax.models.layers import from_function
from dl_jax.models.model import Model, Output, checksum, layer_key
from dl_jax.types import Array, Params, PRNGKey, State, Tree

SHORTCUT = "shortcut"
"""The layer that is applied to the input of the others and added to their output."""

Layer: TypeAlias = Model | Callable[[Any], Any]


def chain(layers: Mapping[str, Layer]) -> Model:
    """The layers one after the other: the output of each is the input of the next.

    Layer `conv1` has the parameters `params["conv1"]` and the state `state["conv1"]`; what has none
    has no entry. Each layer runs under `jax.named_scope` of its name.

    A layer's random key depends on its name alone: adding, moving or removing another layer changes
    neither its initial values nor what it draws in training.

    Args:
        layers: by name, in order: models, chains among them, and functions of an array, such as
            `relu` or `partial(max_pool, window=2)`.

    Raises:
        UsageError: there are no layers; a name is empty, has a slash or is `shortcut`, which is
            that of `residual`; two names have the same checksum, so that their layers would have
            the same random key; a layer is neither a model nor a function. When the model runs, a
            layer's `UsageError`, or a shape that it refuses, begins with its path, `layer
            layer2_0/conv1: ...`; other errors have the path in a note.

    >>> chain({"double": lambda x: 2 * x, "add": lambda x: x + 1}).apply({}, {}, 3.0, train=False)
    (7.0, {})
    """
    if not isinstance(layers, Mapping) or not layers:
        raise UsageError(
            "a chain has no layers: give it a dict of them, as in "
            '{"dense1": linear(4, 8), "relu1": relu}'
        )
    if SHORTCUT in layers:
        raise UsageError(
            f"a layer of a chain is called {SHORTCUT!r}, the name of a residual's shortcut: use "
            "another name, or residual(branch, shortcut)"
        )
    return _composed({name: _as_model(name, layer) for name, layer in layers.items()})


def residual(branch: Model, shortcut: Layer | None = None) -> Model:
    """`branch(x) + shortcut(x)`.

    Parameters and state are those of the branch, at the same paths, and `shortcut` beside them.

    Args:
        branch: a chain.
        shortcut: brings the input to the shape of the branch's output, such as a convolution with
            the branch's stride; the identity where None.

    Raises:
        UsageError: the branch is no chain, or a residual itself; and, when the model is applied,
            the two shapes differ: nothing is broadcast.

    Source: He et al. (2015), arXiv:1512.03385, equations 1 and 2.
    """
    if not isinstance(branch, Model) or not branch.layers:
        raise UsageError(
            "the branch of a residual is no chain: give its layers names, as in "
            'residual(chain({"conv1": conv(64, 64)}))'
        )
    if SHORTCUT in branch.layers:
        raise UsageError(
            f"the branch of a residual has a layer {SHORTCUT!r} of its own: put it into a chain, "
            'as in residual(chain({"block": branch}))'
        )
    through = _as_model(SHORTCUT, (lambda x: x) if shortcut is None else shortcut)
    return _composed({**branch.layers, SHORTCUT: through})


def features(model: Model, names: Sequence[str]) -> Model:
    """A model with the same parameters whose output is `{name: output of that layer}`.

    It computes what `model` computes, with the same random numbers and the same new state. Under
    `jax.jit`, what neither the outputs nor the state need is not computed.

    Args:
        model: a chain or a residual, also with preprocessing or a compute type.
        names: of layers; `layer2_0/relu1` is within the layer `layer2_0`, and `preprocess` is what
            `with_preprocessing` has put before the first.

    Raises:
        UsageError: the model has no layers, or none of such a name.
    """
    if not model.layers:
        raise UsageError("features of a model without layers: expected a chain or a residual")
    if isinstance(names, str) or not names:
        raise UsageError(f"names is {names!r}, expected a sequence of names of layers")
    known = _paths(model.layers)
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no layer {name!r}{nearest(name, known)}; the layers are "
                f"{', '.join(model.layers)}"
            )

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[dict[str, Output], State]:
        _, state, found = _run(model.layers, params, state, inputs, names, train=train, key=key)
        return {name: found[name] for name in names}, state

    return Model(model.init, apply)


def split(model: Model, name: str) -> tuple[Model, Model]:
    """A chain in two: the layers up to one of them, and those after it.

    Both take the parameters and the state of the whole, of which each uses its own: what the second
    gives for the first's output is what the model gives.

    Args:
        model: a chain, also with preprocessing or a compute type.
        name: of one of its layers, not the last; not of one within a layer.

    Raises:
        UsageError: the model is no chain, or has no such layer before its last.
    """
    if not model.layers or SHORTCUT in model.layers:
        raise UsageError("split takes a model apart that is a chain of layers, and this is none")
    names = list(model.layers)
    position = names.index(check_choice("layer", name, names[:-1])) + 1
    before, after = (
        {each: model.layers[each] for each in part} for part in (names[:position], names[position:])
    )
    return _composed(before), _composed(after)


def _composed(layers: Mapping[str, Model]) -> Model:
    """The model that `_run` computes."""
    _check_names(layers)

    def init(key: PRNGKey) -> tuple[Params, State]:
        params, state = {}, {}
        for name, layer in layers.items():
            with in_layer(name):
                params[name], state[name] = layer.init(layer_key(key, name))
        return _without_empty(params), _without_empty(state)

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        output, state, _ = _run(layers, params, state, inputs, train=train, key=key)
        return output, state

    return Model(init, apply, MappingProxyType(layers))


def _run(
    layers: Mapping[str, Model],
    params: Params,
    state: State,
    inputs: Tree,
    wanted: Sequence[str] = (),
    *,
    train: bool,
    key: PRNGKey | None,
) -> tuple[Output, State, dict[str, Output]]:
    """The output, the new state, and the outputs of those layers whose paths are wanted."""
    y, new_state, found = inputs, {}, {}
    for name, layer in layers.items():
        x = inputs if name == SHORTCUT else y
        own = params.get(name, {}), state.get(name, {}), x
        mode = {"train": train, "key": None if key is None else layer_key(key, name)}
        within = [path.removeprefix(f"{name}/") for path in wanted if path.startswith(f"{name}/")]
        with in_layer(name):
            if within:
                output, new_state[name], inner = _run(layer.layers, *own, within, **mode)
                found |= {f"{name}/{path}": value for path, value in inner.items()}
            else:
                output, new_state[name] = layer.apply(*own, **mode)
        if name in wanted:
            found[name] = output
        y = _sum(y, output) if name == SHORTCUT else output
    return y, _without_empty(new_state), found


def _sum(branch: Array, shortcut: Array) -> jax.Array:
    if branch.shape != shortcut.shape:
        raise UsageError(
            f"the branch of a residual gives shape {branch.shape} and its shortcut "
            f"{shortcut.shape}, expected the same: give it a shortcut that changes the shape as "
            "the branch does, such as a 1x1 convolution with the same stride and filters"
        )
    return jnp.add(branch, shortcut)


def _without_empty(trees: dict[str, Tree]) -> dict[str, Tree]:
    return {name: tree for name, tree in trees.items() if tree}


def _paths(layers: Mapping[str, Model]) -> list[str]:
    """Names of the layers and of those within them."""
    inner = [f"{name}/{path}" for name, layer in layers.items() for path in _paths(layer.layers)]
    return [*layers, *inner]


def _as_model(name: str, layer: Layer) -> Model:
    if isinstance(layer, Model):
        return layer
    if not callable(layer):
        raise UsageError(f"layer {name!r} is {layer!r}, expected a model or a function of an array")
    return from_function(layer)


def _check_names(names: Mapping[str, Model]) -> None:
    seen = {}
    for name in names:
        if not isinstance(name, str) or not name or "/" in name:
            raise UsageError(f"a layer is called {name!r}, expected a name without slashes")
        other = seen.setdefault(checksum(name), name)
        if other != name:
            raise UsageError(
                f"layers {other!r} and {name!r} would have the same random key (the crc32 of their "
                "names is the same): rename one"
            )
