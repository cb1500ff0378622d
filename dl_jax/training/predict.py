"""The outputs of a model for every example of a dataset."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float

from dl_jax.compilation import jit
from dl_jax.data import Dataset
from dl_jax.errors import UsageError
from dl_jax.models import Model
from dl_jax.types import Params, State

Forward: TypeAlias = Callable[..., Float[Array, "*replicas batch classes"]]


# A model seen before is not traced again; not at import: compiling looks for the platform.
@lru_cache(maxsize=16)
def _forward(model: Model, replicas: bool) -> Forward:
    def forward(params: Params, model_state: State, inputs: Array) -> Array:
        return model.apply(params, model_state, inputs, train=False)[0]

    return jit(jax.vmap(forward, in_axes=(0, 0, None)) if replicas else forward)


def predict(
    model: Model,
    params: Params,
    model_state: State,
    dataset: Dataset,
    *,
    batch_size: int = 512,
    replicas: bool = False,
    inputs: str = "image",
) -> Float[np.ndarray, "*replicas examples classes"]:
    """Logits of every example of a dataset, each exactly once, in the dataset's order.

    Args:
        model: maps a batch of inputs to logits.
        params: parameters, with a leading axis of replicas if `replicas`.
        model_state: the model's state, with a leading axis of replicas if `replicas`.
        dataset: examples to predict.
        batch_size: examples that are in the device's memory at once; the result does not depend
            on it.
        replicas: whether there are several; all predict in one program.
        inputs: name of the inputs in the dataset.

    Raises:
        UsageError: the dataset is empty, or `batch_size` < 1.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}, expected at least 1")
    if len(dataset) == 0:
        raise UsageError(f"the {dataset.split} split of {dataset.name} has no examples to predict")
    forward = _forward(model, replicas)
    outputs, masks = [], []
    for batch in dataset.evaluation_batches(batch_size):
        outputs.append(forward(params, model_state, batch[inputs]))
        masks.append(batch["mask"])
        # Fetched one batch late: the device never waits for the host, and holds two at most.
        if len(outputs) > 1:
            outputs[-2] = np.asarray(outputs[-2], np.float32)
    outputs[-1] = np.asarray(outputs[-1], np.float32)
    return np.concatenate(outputs, axis=-2)[..., np.concatenate(masks) != 0, :]
