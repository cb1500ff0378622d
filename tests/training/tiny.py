"""A run small enough to be trained many times in a test."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from dl_jax.data import Dataset, load
from dl_jax.functional import cross_entropy
from dl_jax.learners import Learner, over_seeds, supervised
from dl_jax.models import cnn, mlp, standardize, with_preprocessing
from dl_jax.runs import Run
from dl_jax.training import FitConfig, Fitted

NORMALIZE = standardize(np.array([0.3], np.float32), np.array([0.4], np.float32))


def tiny_data() -> dict[str, Dataset]:
    """A few digits."""
    return {
        "train": load("digits", "train").take(64),
        "validation": load("digits", "validation").take(30),
        "test": load("digits", "test").take(30),
    }


def tiny_learner(
    kind: str = "mlp",
    seeds: int | None = None,
    rate: float | jax.Array = 1e-2,
    dropout_rate: float = 0.2,
) -> Learner:
    """A network with dropout, so that random keys matter, and Adam, so that moments do."""
    model = {
        "mlp": mlp((8, 8, 1), (8,), 10, dropout_rate=dropout_rate),
        "cnn": cnn((8, 8, 1), [(4,)], 10, dropout_rate=dropout_rate),
    }[kind]
    learner = supervised(with_preprocessing(model, NORMALIZE), cross_entropy, optax.adam(rate))
    return learner if seeds is None else over_seeds(learner, seeds)


def tiny_config(**changes) -> FitConfig:
    """Three epochs of eight steps, logged and evaluated at steps that do not coincide."""
    values = {
        "epochs": 3, "batch_size": 8, "log_every": 3, "evaluate_every": 8, "checkpoint_every": 4,
        "evaluation_batch_size": 16,
    }  # fmt: skip
    return FitConfig(**{**values, **changes})


def unsaved_config(**changes) -> FitConfig:
    """`tiny_config` with a checkpoint of the last step alone: saving is half of a tiny run."""
    return tiny_config(**{"checkpoint_every": 1000, **changes})


class Trained(NamedTuple):
    """A finished run, and what `fit` gave."""

    run: Run
    fitted: Fitted

    def copied(self, directory: Path) -> Run:
        """A copy of the run, to be resumed."""
        shutil.copytree(self.run.directory, directory)
        return Run(directory, resumed=True)


def tiny_run(directory: Path, *, resumed: bool = False) -> Run:
    """A run in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    return Run(directory, resumed=resumed)


def assert_same_bits(a, b) -> None:
    """Both trees have the same structure, types and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert x.dtype == y.dtype
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def assert_close(a: Any, b: Any, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    """Both trees have the same structure and equal numbers, but for rounding."""
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


def rows_of(history: list[dict], split: str) -> list[dict]:
    """The rows of one split."""
    return [row for row in history if row["split"] == split]


def without_seconds(history: list[dict]) -> list[dict]:
    """The rows without the one thing that differs from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]
