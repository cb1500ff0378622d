"""Spectral normalization: kernels that, as matrices, stretch no direction by more than one."""

import jax

from dl_jax.errors import UsageError
from dl_jax.functional import spectral_norm
from dl_jax.models.model import Model, Output, layer_key
from dl_jax.types import Params, PRNGKey, State, Tree

SPECTRAL, KERNEL = "spectral", "kernel"
"""The vectors in the state of the model, and the leaves that they belong to."""


def with_spectral_norm(model: Model) -> Model:
    """`model` with each kernel divided by its largest singular value.

    Its state has, beside the model's own, `spectral`: for each leaf named `kernel`, at its path, a
    vector that the power iteration improves by one step whenever the network trains. What dense
    layers with activations such as ReLU compute then changes no faster than their inputs. A
    convolution's kernel is taken as a matrix, of its outputs by all else: its slope is bounded too,
    by the number of windows that a pixel is in. The model has no layers: what they compute has
    other kernels.

    Raises:
        UsageError: when the model is initialized, it has no kernel, or is normalized already.

    Source: Miyato et al. (2018), arXiv:1802.05957, algorithm 1.
    """

    def init(key: PRNGKey) -> tuple[Params, State]:
        params, state = model.init(key)
        if SPECTRAL in state:
            raise UsageError("the model is spectrally normalized already: do it once")
        vectors = _started(params, layer_key(key, SPECTRAL))
        if not vectors:
            raise UsageError("the model has no leaf named 'kernel': nothing is to be normalized")
        return params, {**state, SPECTRAL: vectors}

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        own = {name: tree for name, tree in state.items() if name != SPECTRAL}
        params, vectors = _normalized(params, state[SPECTRAL])
        output, own = model.apply(params, own, inputs, train=train, key=key)
        return output, {**own, SPECTRAL: vectors if train else state[SPECTRAL]}

    return Model(init, apply)


def _started(params: Params, key: PRNGKey) -> Tree:
    """A random vector for each kernel, under its path."""
    vectors = {}
    for name, value in params.items():
        if isinstance(value, dict):
            vectors[name] = _started(value, layer_key(key, name))
        elif name == KERNEL:
            vectors[name] = jax.random.normal(key, value.shape[-1:])
    return {name: value for name, value in vectors.items() if not isinstance(value, dict) or value}


def _normalized(params: Params, vectors: Tree) -> tuple[Params, Tree]:
    """The parameters with their kernels divided, and the vectors one step further."""
    divided, further = {}, {}
    for name, value in params.items():
        if name not in vectors:
            divided[name] = value
        elif isinstance(value, dict):
            divided[name], further[name] = _normalized(value, vectors[name])
        else:
            norm, further[name] = spectral_norm(value, vectors[name])
            divided[name] = (value / norm).astype(value.dtype)
    return divided, further
