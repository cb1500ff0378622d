"""Reading a trained run back: its model, its best parameters, its files."""

import json
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax.errors import RunError, UsageError, check_integer
from dl_jax.manifest import file_digest
from dl_jax.models import Model
from dl_jax.paths import layout, unlike
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.runs.description import MODEL_FILE, described_model, weights_layout
from dl_jax.runs.rows import read_rows
from dl_jax.runs.run import CONFIG_FILE
from dl_jax.types import Params, State, Tree


class Loaded(NamedTuple):
    """A trained network, as a run left it.

    Attributes:
        model: made by the function that the run's `model.json` names.
        params: the best parameters on the validation set; the last, if there was none.
        model_state: the model's state that belongs to them.
        config: the configuration of the run, as `config.json` has it.
        files: paths of the files that belong to the model, by name.
        name: of the function of `dl_jax.models` that made it.
        arguments: that it was made of.
    """

    model: Model
    params: Params
    model_state: State
    config: dict[str, Any]
    files: dict[str, Path]
    name: str
    arguments: dict[str, Any]


def load_run(directory: str | os.PathLike[str], *, replica: int | None = None) -> Loaded:
    """The trained network of a run, or of a part of one.

    Nothing is run but the function of `dl_jax.models` that `model.json` names. The digests of the
    checkpoint and of the files are checked, and so are the recorded shapes.

    Args:
        directory: of a run that was described (`Run.describe`).
        replica: which one, from 0, if the run trained several; axes of replicas count as one.

    Raises:
        UsageError: there is no run, or it was not described; its files or shapes are not those that
            were recorded; or it has several replicas, and none was asked for, or one that it does
            not have.
        RunError: its checkpoints are damaged or cannot be read.
    """
    directory = Path(directory).expanduser().absolute()
    record = _described(directory)
    files = {name: directory / name for name in record["files"]}
    for name, path in files.items():
        if not path.is_file() or file_digest(path) != record["files"][name]:
            raise UsageError(f"{path} is missing or was changed since the run was described")
    model = described_model(record)
    for difference in unlike(record["shapes"], weights_layout(model)):
        raise UsageError(
            f"the model {record['model']!r} of {directory} is another today: {difference}"
        )
    chooses = _has_validation_rows(directory)
    read = Checkpoints(directory / "checkpoints").read(lambda tree: _weights(tree, chooses))
    if read is None:
        raise UsageError(f"{directory} has no checkpoint yet: train it first")
    for line in read.damaged:
        warnings.warn(f"{line}; loading that of step {read.step}", stacklevel=2)
    ((_, kept),) = read.tree.items()
    weights = {name: kept.get(name, {}) for name in ("params", "model_state")}
    if record["part"] is not None:
        weights = {name: tree.get(record["part"], {}) for name, tree in weights.items()}
    weights = _one_replica(weights, np.asarray(kept["step"]), replica, directory)
    for difference in unlike(layout(weights), record["shapes"]):
        raise UsageError(f"the checkpoint of {directory} is not of its model: {difference}")
    params, model_state = jax.tree.map(jnp.asarray, (weights["params"], weights["model_state"]))
    return Loaded(
        model, params, model_state, _config(directory), files, record["model"], record["arguments"]
    )


def _has_validation_rows(directory: Path) -> bool:
    """Whether anything was measured by which the best parameters were chosen."""
    try:
        rows = read_rows(directory / "metrics.jsonl").by_number.values()
    except OSError:
        return True  # lost: the checkpoint says it
    return any(row["split"] == "validation" for row in rows)


def _weights(tree: Tree, chooses: bool) -> Tree:
    """What of a checkpoint makes the network: the best so far; the last without validation."""
    name = "best" if chooses and tree.get("best") else "state"
    wanted = {
        key: tree[name][key] for key in ("params", "model_state", "step") if key in tree[name]
    }
    return {name: wanted}


def _one_replica(weights: Tree, steps: np.ndarray, replica: int | None, directory: Path) -> Tree:
    """The weights of one replica; `steps` are those at which each was the best, or -1."""
    if steps.size > 1 and replica is None:
        raise UsageError(
            f"{directory} holds {steps.size} replicas: choose one, replica=0 to {steps.size - 1}"
        )
    if replica is not None:
        check_integer("replica", replica, low=0, high=steps.size - 1)
    index = np.unravel_index(replica or 0, steps.shape) if steps.shape else ()
    if steps[index] < 0:
        raise RunError(
            f"replica {replica or 0} of {directory} has no finite evaluation yet: train it further"
        )
    return jax.tree.map(lambda leaf: leaf[index], weights)


def _described(directory: Path) -> dict[str, Any]:
    path = directory / MODEL_FILE
    kinds = {"model": str, "arguments": dict, "files": dict, "shapes": dict,
             "statistics": list | None, "compute_dtype": str, "part": str | None}  # fmt: skip
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(record[name], kind) for name, kind in kinds.items()):
            raise ValueError("it is not the description of a model")
    except FileNotFoundError as error:
        parts = sorted(each.parent.name for each in directory.glob(f"*/{MODEL_FILE}"))
        has = f"; its parts do: {', '.join(parts)}" if parts else ""
        raise UsageError(
            f"there is no {path}: {directory} is no run, or does not describe its model{has}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be used ({error})") from error
    return record


def _config(directory: Path) -> dict[str, Any]:
    """The configuration of a run, which a part has from the whole."""
    for folder in (directory, directory.parent):
        try:
            return json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["config"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{folder / CONFIG_FILE} cannot be used ({error})") from error
    raise UsageError(f"there is no {CONFIG_FILE} in {directory}: it is no run")
