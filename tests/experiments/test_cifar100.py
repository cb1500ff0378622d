"""CIFAR-100 as TFDS describes it, with mock data in the place of its images."""

import json

import numpy as np

from dl_jax.data import load_splits
from tests.experiments.scripts import start
from tests.prepared import prepare_cifar100


def test_a_hundred_classes(tmp_path, monkeypatch):
    prepare_cifar100(tmp_path)
    data = load_splits("cifar100", tmp_path, cache_dir=tmp_path / "cache")
    assert data["train"].num_classes == 100  # the fine labels, not the coarse ones
    assert data["train"].image_shape == (32, 32, 3)
    labels = np.concatenate([np.asarray(d.arrays["label"][:]) for d in data.values()])
    assert labels.max() > 20
    monkeypatch.setenv("DL_JAX_CACHE", str(tmp_path / "cache"))
    start(monkeypatch, "vision.cifar", "--dataset", "cifar100", "--data-dir", str(tmp_path),
          "--model", "mlp", "--widths", "8", "--steps", "3", "--batch-size", "20",
          "--out", str(tmp_path), "--name", "run")  # fmt: skip
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert len(result["test"]["per_class"]) == 100
    assert (tmp_path / "run" / "figures" / "confusion_matrix.png").is_file()
