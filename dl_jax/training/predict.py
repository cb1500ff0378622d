"""The outputs of a model for every example of a dataset."""

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax.compilation import jit
from dl_jax.data import Dataset, evaluation_batches
from dl_jax.errors import UsageError, nearest
from dl_jax.models import Model
from dl_jax.types import Batch, Params, State, Tree


# A model seen before is not traced again; not at import: compiling looks for the platform.
@lru_cache(maxsize=16)
def _forward(apply: Callable[..., tuple[Tree, State]], replicas: bool) -> Callable[..., Tree]:
    def forward(params: Params, model_state: State, inputs: Tree) -> Tree:
        return apply(params, model_state, inputs, train=False)[0]

    return jit(jax.vmap(forward, in_axes=(0, 0, None)) if replicas else forward)


def predict(
    model: Model,
    params: Params,
    model_state: State,
    dataset: Dataset,
    *,
    batch_size: int = 512,
    replicas: bool = False,
    inputs: str | tuple[str, ...] = "image",
) -> Tree:
    """Outputs of a model for every example of a dataset, each once, in the dataset's order.

    Args:
        model: maps a batch of inputs to outputs: an array `[batch, ...]`, or a tree of such.
        params: parameters, with a leading axis of replicas if `replicas`.
        model_state: the model's state, with a leading axis of replicas if `replicas`.
        dataset: examples to predict.
        batch_size: examples that are in the device's memory at once; the result does not depend
            on it.
        replicas: whether there are several; all predict in one program.
        inputs: name of the inputs in the dataset; several are given to the model as a tuple.

    Returns:
        Arrays of NumPy `[examples, ...]`, or `[replicas, examples, ...]` if `replicas`, in float32
        where they are floats.

    Raises:
        UsageError: the dataset is empty or has no such inputs, or `batch_size` < 1.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}, expected at least 1")
    if len(dataset) == 0:
        raise UsageError(f"the {dataset.split} split of {dataset.name} has no examples to predict")
    for name in (inputs,) if isinstance(inputs, str) else inputs:
        if name not in dataset.arrays:
            raise UsageError(
                f"inputs is {name!r}, expected one of {', '.join(dataset.arrays)}"
                f"{nearest(name, dataset.arrays)}"
            )

    def given(batch: Batch) -> Tree:
        return batch[inputs] if isinstance(inputs, str) else tuple(batch[name] for name in inputs)

    forward, axis = _forward(model.apply, replicas), 1 if replicas else 0
    outputs = []
    for batch in evaluation_batches(dataset, batch_size):
        outputs.append(forward(params, model_state, given(batch)))
        # Fetched one batch late: the device never waits for the host, and holds two at most.
        if len(outputs) > 1:
            outputs[-2] = _on_host(outputs[-2])
    padding = len(outputs) * batch_size - len(dataset)  # at the end of the last batch
    outputs[-1] = jax.tree.map(
        lambda leaf: leaf.take(np.arange(leaf.shape[axis] - padding), axis), _on_host(outputs[-1])
    )
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis), *outputs)


def _on_host(outputs: Tree) -> Tree:
    """In NumPy; floats of any width in float32."""

    def fetch(leaf: jax.Array) -> np.ndarray:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return np.asarray(leaf, np.float32 if floating else leaf.dtype)

    return jax.tree.map(fetch, outputs)
