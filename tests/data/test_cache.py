"""The cache of decoded examples: whole or built again, also when two processes build at once."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from dl_jax.data.cache import cache_root, cached


def examples() -> dict[str, np.ndarray]:
    return {"image": np.arange(60, dtype=np.uint8).reshape(5, 3, 4, 1), "label": np.arange(5)}


def fill(allocate) -> None:
    for name, array in examples().items():
        allocate(name, array.shape, array.dtype)[...] = array


def test_it_is_built_once(tmp_path: Path):
    calls = []

    def build(allocate):
        calls.append(1)
        fill(allocate)

    for _ in range(3):
        arrays = cached("key", build, tmp_path)
        np.testing.assert_array_equal(arrays["image"], examples()["image"])
    assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]  # no drafts left behind


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "image.npy"),
        lambda folder: (folder / "label.npy").unlink(),
        lambda folder: (folder / "image.npy").write_bytes(b""),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
    ids=["flipped byte", "missing file", "cut file", "cut manifest", "no manifest"],
)
def test_damage_is_noticed_and_repaired(tmp_path: Path, damage):
    cached("key", fill, tmp_path)
    damage(tmp_path / "key")
    with pytest.warns(UserWarning, match="is damaged .* building it again"):
        arrays = cached("key", fill, tmp_path)
    np.testing.assert_array_equal(arrays["image"], examples()["image"])
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_failed_build_leaves_nothing(tmp_path: Path):
    def build(allocate):
        allocate("image", (2, 3), np.uint8)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cached("key", build, tmp_path)
    assert list(tmp_path.iterdir()) == []


def slow_build(allocate) -> None:
    time.sleep(0.5)
    fill(allocate)


def build_in_process(root: Path, results) -> None:
    results.put(int(cached("key", slow_build, root)["image"].sum()))


def test_two_processes_build_at_once(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=build_in_process, args=(tmp_path, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    sums = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sums == [int(examples()["image"].sum())] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_its_place_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DL_JAX_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("DL_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "dl_jax"
