"""The cache of decoded examples: intact or built again, also with two builders or a full disk."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dl_jax import folders
from dl_jax.data import cache
from dl_jax.data.cache import cached
from dl_jax.errors import RunError, UsageError
from dl_jax.manifest import MANIFEST, seal

KEY = {"name": "set/one", "examples": 5, "image_size": (3, 4)}
EXAMPLES = {
    "image": np.arange(60, dtype=np.uint8).reshape(5, 3, 4, 1),
    "label": np.arange(5, dtype=np.int32),
}


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "_verified", set())


def fill(allocate, examples=EXAMPLES) -> None:
    for name, array in examples.items():
        allocate(name, array.shape, array.dtype)[...] = array


def folder(root: Path) -> Path:
    """The only thing in the cache: no drafts and no locks are left behind."""
    (found,) = root.iterdir()
    return found


def test_a_folder_is_built_once(tmp_path: Path):
    calls = []

    def build(allocate):
        calls.append(1)
        fill(allocate)

    for _ in range(3):
        arrays = cached(KEY, build, tmp_path)
        np.testing.assert_array_equal(arrays["image"], EXAMPLES["image"])
    assert len(calls) == 1
    assert folder(tmp_path).name.startswith("set-one-")


@pytest.mark.parametrize("change", [{"examples": 6}, {"name": "set"}, {"decoding": 2}])
def test_another_key_is_another_folder(tmp_path: Path, change: dict):
    cached(KEY, fill, tmp_path)
    other = {name: np.concatenate([array, array])[:6] for name, array in EXAMPLES.items()}
    key = {**KEY, **change}
    rows = key["examples"]
    cached(key, lambda allocate: fill(allocate, {k: a[:rows] for k, a in other.items()}), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_digests_are_computed_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(cache, "verify", lambda folder: calls.append(folder))
    for _ in range(2):  # built here: its digests are known
        cached(KEY, fill, tmp_path)
    assert len(calls) == 0
    monkeypatch.setattr(cache, "_verified", set())
    for _ in range(2):
        cached(KEY, fill, tmp_path)
    assert len(calls) == 1


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def exchange(built: Path) -> None:
    """The folder of another key takes this one's place."""
    cached({**KEY, "split": "test"}, fill, built.parent)
    (other,) = set(built.parent.iterdir()) - {built}
    shutil.rmtree(built)
    other.rename(built)


def seal_fewer_rows(built: Path) -> None:
    facts = json.loads((built / MANIFEST).read_text())["facts"]
    for name, array in EXAMPLES.items():
        np.save(built / f"{name}.npy", array[:4])
    seal(built, facts)


def seal_without_arrays(built: Path) -> None:
    facts = json.loads((built / MANIFEST).read_text())["facts"]
    seal(built, {**facts, "arrays": {}})


def replace_by(make):
    def damage(built: Path) -> None:
        shutil.rmtree(built)
        make(built)

    return damage


DAMAGES = {
    "flipped byte": lambda f: flip(f / "image.npy"),
    "missing file": lambda f: (f / "label.npy").unlink(),
    "cut file": lambda f: (f / "image.npy").write_bytes(b""),
    "pipe": lambda f: ((f / "image.npy").unlink(), os.mkfifo(f / "image.npy")),
    "dangling file": lambda f: (
        (f / "image.npy").unlink(),
        (f / "image.npy").symlink_to("nowhere"),
    ),
    "cut manifest": lambda f: (f / MANIFEST).write_text("{"),
    "empty manifest": lambda f: (f / MANIFEST).write_text("{}"),
    "list as manifest": lambda f: (f / MANIFEST).write_text("[]"),
    "null as manifest": lambda f: (f / MANIFEST).write_text("null"),
    "deep manifest": lambda f: (f / MANIFEST).write_text("[" * 10**5),
    "no manifest": lambda f: (f / MANIFEST).unlink(),
    "exchanged": exchange,
    "fewer rows": seal_fewer_rows,
    "no arrays": seal_without_arrays,
    "empty folder": replace_by(Path.mkdir),
    "a file": replace_by(lambda f: f.write_text("")),
    "dangling link": replace_by(lambda f: f.symlink_to("nowhere")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed_and_repaired(tmp_path: Path, damage, monkeypatch: pytest.MonkeyPatch):
    cached(KEY, fill, tmp_path)
    damage(folder(tmp_path))
    monkeypatch.setattr(cache, "_verified", set())
    with pytest.warns(UserWarning, match="is damaged .* building it again"):
        arrays = cached(KEY, fill, tmp_path)
    np.testing.assert_array_equal(arrays["image"], EXAMPLES["image"])
    np.testing.assert_array_equal(cached(KEY, fill, tmp_path)["label"], EXAMPLES["label"])
    assert folder(tmp_path).is_dir()


def test_a_failed_build_leaves_nothing(tmp_path: Path):
    def build(allocate):
        allocate("image", (2, 3), np.uint8)
        raise OSError("no such record")

    with pytest.raises(OSError, match="no such record"):
        cached(KEY, build, tmp_path)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import sys
from pathlib import Path
from dl_jax.data.cache import cached
from dl_jax.errors import RunError

def build(allocate):
    allocate("label", (5,), "int32")[...] = 1
    allocate("image", (5, 100_000), "uint8")[...] = 1

root = Path(sys.argv[1])
try:
    cached({"name": "set", "examples": 5}, build, root)
except RunError as error:
    print(error)
    print(list(root.iterdir()))
"""


def test_a_full_disk_is_one_sentence(tmp_path: Path):
    mount = f"mount -t tmpfs -o size=200k tmpfs {tmp_path}"
    command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c"]
    try:
        trial = subprocess.run([*command, mount], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `unshare` here")
    if trial.returncode:
        pytest.skip("nobody may mount a file system here")
    script = f"{mount} && exec {sys.executable} - {tmp_path}"
    ended = subprocess.run(
        [*command, script], input=FULL_DISK, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended  # a bus error before
    said, left = ended.stdout.splitlines()
    assert "is full (0.5 MiB needed, 0.2 MiB free)" in said
    assert f"{tmp_path}" in said
    assert "$DL_JAX_CACHE" in said
    assert left == "[]"


@pytest.mark.parametrize("where", ["posix_fallocate", "manifest"])
def test_a_disk_that_fills_up_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    place = (os, "posix_fallocate") if where == "posix_fallocate" else (cache, "seal")
    monkeypatch.setattr(*place, full)
    with pytest.raises(RunError, match=rf"{tmp_path} is full .*\$DL_JAX_CACHE"):
        cached(KEY, fill, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_reserve_space(tmp_path: Path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    np.testing.assert_array_equal(cached(KEY, fill, tmp_path)["image"], EXAMPLES["image"])


def test_a_place_that_cannot_be_a_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written .*DL_JAX_CACHE"):
        cached(KEY, fill, tmp_path / "file")


def slow_build(allocate) -> None:
    time.sleep(0.5)
    fill(allocate)


def build_in_process(root: Path, results) -> None:
    results.put(int(cached(KEY, slow_build, root)["image"].sum()))


def build_without_end(root: Path, allocated) -> None:
    def build(allocate):
        fill(allocate)
        allocated.set()
        time.sleep(600)

    cached({**KEY, "split": "other"}, build, root)


def test_builders_at_once_and_one_that_was_killed(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    results, allocated = context.Queue(), context.Event()
    endless = context.Process(target=build_without_end, args=(tmp_path, allocated))
    endless.start()
    assert allocated.wait(120)
    (draft,) = tmp_path.glob(".*.draft-*")
    processes = [
        context.Process(target=build_in_process, args=(tmp_path, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    sums = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sums == [int(EXAMPLES["image"].sum())] * 3
    assert draft.exists()  # its builder lives
    endless.kill()
    endless.join()
    assert draft.exists()
    cached({**KEY, "split": "third"}, fill, tmp_path)
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DL_JAX_CACHE", str(tmp_path))
    assert folders.cache_folder() == tmp_path
    monkeypatch.delenv("DL_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folders.cache_folder() == tmp_path / "dl_jax"
