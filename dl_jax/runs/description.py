"""What a run says of its model, so that a trained network can be made again: `model.json`."""

import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from dl_jax import models
from dl_jax.errors import UsageError, check_choice
from dl_jax.manifest import text_digest
from dl_jax.models import Model, standardize, with_compute_dtype, with_preprocessing
from dl_jax.paths import layout

MODEL_FILE = "model.json"


def description(
    model: str,
    arguments: Mapping[str, Any],
    files: Mapping[str, str],
    statistics: tuple[ArrayLike, ArrayLike] | None,
    compute_dtype: str,
    part: str | None,
) -> dict[str, Any]:
    """What `model.json` holds; see `Run.describe`.

    The model is made from it once, so that nothing is written that cannot be loaded.
    """
    try:
        plain = json.loads(json.dumps(dict(arguments)))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the arguments of {model} are {arguments}, expected plain values by name, as JSON has "
            f"them ({error})"
        ) from error
    for name in files:
        if Path(name).name != name:
            raise UsageError(f"a file of {model} is named {name!r}, expected a name without folder")
    mean_and_std = None
    if statistics is not None:
        mean_and_std = [np.asarray(values, np.float32).tolist() for values in statistics]
        if len(mean_and_std) != 2:
            raise UsageError(f"statistics is {statistics}, expected a pair: mean and std")
    record = {
        "model": model,
        "arguments": plain,
        "statistics": mean_and_std,
        "compute_dtype": compute_dtype,
        "part": part,
        "files": {name: text_digest(text) for name, text in files.items()},
    }
    return {**record, "shapes": weights_layout(described_model(record))}


def described_model(record: Mapping[str, Any]) -> Model:
    """The model that a description names: a function of `dl_jax.models`, and nothing else.

    Raises:
        UsageError: there is no such function, or it does not take these arguments.
    """
    if not isinstance(record["model"], str):
        raise UsageError(f"model is {record['model']!r}, expected a name such as 'mlp'")
    name = check_choice("model", record["model"], makers())
    try:
        model = getattr(models, name)(**record["arguments"])
        model = with_compute_dtype(model, record["compute_dtype"])
        if record["statistics"] is not None:
            mean, std = (np.asarray(values, np.float32) for values in record["statistics"])
            model = with_preprocessing(model, standardize(mean, std))
        jax.eval_shape(model.init, jax.random.key(0))
    except (TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"the model {name} does not take its arguments: {reason}") from error
    return model


def makers() -> list[str]:
    """Names of the functions in `dl_jax.models` that make a model of plain values."""
    found = []
    for name in models.__all__:
        if name.startswith("from_") or name == "chain":  # made of modules or layers
            continue
        function = getattr(models, name)
        function = function.func if isinstance(function, partial) else function
        kinds = function.__annotations__ if inspect.isfunction(function) else {}
        if kinds.get("return") is Model and list(kinds.values()).count(Model) == 1:
            found.append(name)
    return found


def weights_layout(model: Model) -> dict[str, Any]:
    """The layout of a model's parameters and state."""
    params, model_state = jax.eval_shape(model.init, jax.random.key(0))
    return layout({"params": params, "model_state": model_state})
