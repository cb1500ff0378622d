"""Checkpoints: what is restored is what was saved, whatever happened to the files in between."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from dl_jax.errors import RunError
from dl_jax.manifest import seal
from dl_jax.runs.checkpoints import Checkpoints
from tests.training.tiny import assert_same_bits


def tree(value: float) -> dict:
    """Arrays of the kinds that a train state holds."""
    return {
        "kernel": jnp.full((16, 16), value, jnp.float32),
        "half": jnp.full((3,), value, jnp.bfloat16),
        "step": jnp.asarray(int(value), jnp.int32),
        "key": jax.random.split(jax.random.key(int(value)), 2),
        "empty": {},
    }


def saved(directory: Path, *steps: int) -> Path:
    with Checkpoints(directory) as checkpoints:
        for step in steps:
            assert checkpoints.save(step, tree(step)) is None
    return directory


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, to be copied."""
    return saved(tmp_path_factory.mktemp("pair"), 4, 8)


def test_the_newest_is_restored_to_the_bit(tmp_path: Path):
    saved(tmp_path, 1, 2, 3)
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(tree(0))
        assert restored.step == 3
        assert restored.damaged == []
        assert_same_bits(restored.tree, tree(3))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_none_is_restored_from_nothing(tmp_path: Path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest is None
        assert checkpoints.restore(tree(0)) is None


def data_files(step: Path) -> list[Path]:
    return sorted((p for p in step.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(path: Path, position: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def empty(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


def as_copy_of_the_one_before(step: Path) -> None:
    shutil.rmtree(step)
    shutil.copytree(step.with_name("4"), step)


def as_link_to_the_one_before(step: Path) -> None:
    shutil.rmtree(step)
    step.symlink_to("4")


def as_link_to_something_else(step: Path) -> None:
    shutil.rmtree(step)
    step.symlink_to("/usr")


def as_file(step: Path) -> None:
    shutil.rmtree(step)
    step.write_text("")


DAMAGE = {
    "byte flipped in the largest file": lambda step: flip(data_files(step)[-1], 0.5),
    "byte flipped in the manifest": lambda step: flip(step / "manifest.json", 0.3),
    "file cut": lambda step: data_files(step)[-1].write_bytes(
        data_files(step)[-1].read_bytes()[:50]
    ),
    "file missing": lambda step: (step / "tree" / "manifest.ocdbt").unlink(),
    "manifest missing": lambda step: (step / "manifest.json").unlink(),
    "folder emptied": empty,
    "copy of the one before": as_copy_of_the_one_before,
    "link to the one before": as_link_to_the_one_before,
    "link to something else": as_link_to_something_else,
    "a file": as_file,
}
IN_THE_WAY = [None, Path.mkdir, Path.touch, lambda path: path.symlink_to("/usr")]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_one_is_set_aside_and_the_one_before_restored(tmp_path: Path, pair: Path, damage):
    directory = shutil.copytree(pair, tmp_path / "checkpoints")
    damage(directory / "8")
    in_the_way = IN_THE_WAY[list(DAMAGE.values()).index(damage) % len(IN_THE_WAY)]
    if in_the_way is not None:
        in_the_way(directory / "damaged-8")
    with Checkpoints(directory) as checkpoints:
        restored = checkpoints.restore(tree(0))
        assert restored.step == 4
        assert_same_bits(restored.tree, tree(4))
        assert len(restored.damaged) == 1
        assert restored.damaged[0].startswith("checkpoint of step 8 is damaged (")
        assert sorted(path.name for path in directory.iterdir()) == ["4", "damaged-8"]
        assert checkpoints.save(8, tree(8)) is None  # the step can be saved again
    with Checkpoints(directory) as checkpoints:
        assert checkpoints.restore(tree(0)).step == 8
    assert Path("/usr/bin").is_dir()


@pytest.mark.parametrize("harm", [lambda path: flip(path, 0.61), Path.unlink])
def test_every_harmed_file_is_noticed(tmp_path: Path, pair: Path, harm):
    for index, file in enumerate(data_files(pair / "8")):
        copy = shutil.copytree(pair, tmp_path / str(index))
        harm(copy / file.relative_to(pair))
        with Checkpoints(copy) as checkpoints:
            assert checkpoints.restore(tree(0)).step == 4


@pytest.mark.parametrize("name", ["9", "500"])
def test_a_checkpoint_has_its_step_inside(tmp_path: Path, pair: Path, name: str):
    directory = shutil.copytree(pair, tmp_path / "checkpoints")
    (directory / "8").rename(directory / name)
    with Checkpoints(directory) as checkpoints:
        restored = checkpoints.restore(tree(0))
    assert restored.step == 4
    assert restored.damaged == [
        f"checkpoint of step {name} is damaged (it is the checkpoint of step 8)"
    ]


def exchange(directory: Path) -> None:
    (directory / "4").rename(directory / "x")
    (directory / "8").rename(directory / "4")
    (directory / "x").rename(directory / "8")


@pytest.mark.parametrize("harm", [exchange, lambda d: [empty(d / name) for name in ("4", "8")]])
def test_if_all_are_damaged_nothing_is_restored_or_moved(tmp_path: Path, pair: Path, harm):
    directory = shutil.copytree(pair, tmp_path / "checkpoints")
    harm(directory)
    with Checkpoints(directory) as checkpoints:
        with pytest.raises(RunError, match="every checkpoint in .* is damaged .*start a new run"):
            checkpoints.restore(tree(0))
        assert sorted(path.name for path in directory.iterdir()) == ["4", "8"]


@pytest.mark.parametrize("name", ["²", "08", "8.orbax-checkpoint-tmp", ".8.draft", "x"])
def test_what_is_no_step_is_ignored(tmp_path: Path, pair: Path, name: str):
    directory = shutil.copytree(pair, tmp_path / "checkpoints")
    (directory / name).mkdir()
    with Checkpoints(directory) as checkpoints:
        assert checkpoints.restore(tree(0)).step == 8


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path: Path):
    for name in (".4.draft", ".2.old"):
        (tmp_path / name / "tree").mkdir(parents=True)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(tree(0)) is None
    assert saved(tmp_path, 4) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["4"]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Files without permission cannot be read within, not even where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("part", [".", "8", "8/tree", "8/manifest.json", "8/tree/d"])
def test_what_cannot_be_read_now_is_not_taken_for_damage(pair: Path, part: str):
    with tempfile.TemporaryDirectory() as outer:
        directory = shutil.copytree(pair, Path(outer) / "checkpoints")
        for path in (Path(outer), directory, *directory.rglob("*")):
            path.chmod(0o755)
        mode = (directory / part).stat().st_mode
        (directory / part).chmod(0)
        with Checkpoints(directory) as checkpoints:
            with as_nobody(), pytest.raises(RunError, match=r"cannot be read now .* resume again"):
                checkpoints.restore(tree(0))
            (directory / part).chmod(mode)
            assert sorted(path.name for path in directory.iterdir()) == ["4", "8"]
            assert checkpoints.restore(tree(0)).step == 8


def test_memory_that_runs_out_is_not_taken_for_damage(pair: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_):
        raise ValueError("RESOURCE_EXHAUSTED: memory")

    monkeypatch.setattr("orbax.checkpoint.StandardCheckpointer.restore", fail)
    with Checkpoints(pair) as checkpoints:
        with pytest.raises(RunError, match=r"cannot be read now \(RESOURCE_EXHAUSTED: memory\)"):
            checkpoints.restore(tree(0))
        assert checkpoints.latest == 8


def test_a_save_does_not_wait_for_its_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files are hashed in the background, and nothing counts as saved before that."""
    allowed = threading.Event()

    def slow(*arguments):
        assert allowed.wait(60)
        seal(*arguments)

    monkeypatch.setattr("dl_jax.runs.checkpoints.seal", slow)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, tree(1))
        assert checkpoints.latest is None
        allowed.set()
        assert checkpoints.finish() is None
        assert checkpoints.latest == 1


def test_the_configuration_is_part_of_a_checkpoint(tmp_path: Path):
    with Checkpoints(tmp_path, config={"fit": {"seed": 1}}) as checkpoints:
        checkpoints.save(4, tree(4))
    newer = {"fit": {"seed": 1, "added_later": 0}}
    with Checkpoints(tmp_path, config=newer) as checkpoints:
        assert checkpoints.restore(tree(0)).step == 4
    with (
        Checkpoints(tmp_path, config={"fit": {"seed": 2}}) as checkpoints,
        pytest.raises(RunError, match=r"another configuration: fit.seed \(was 1, now 2\)"),
    ):
        checkpoints.restore(tree(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": jnp.zeros((16, 8))}, r"kernel is float32\[16, 16\] there and float32\[16, 8\]"),
        ({"half": jnp.zeros((3,))}, r"half is bfloat16\[3\] there and float32\[3\] here"),
        ({"more": jnp.zeros(2)}, r"more is absent there and float32\[2\] here"),
    ],
)
def test_other_shapes_and_types_are_refused(tmp_path: Path, change: dict, message: str):
    saved(tmp_path, 4)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(RunError, match=f"does not fit this configuration: {message}"),
    ):
        checkpoints.restore({**tree(0), **change})


FULL_DISK = """
import sys
import jax.numpy as jnp
from pathlib import Path
from dl_jax.runs.checkpoints import Checkpoints

directory = Path(sys.argv[1])
small = {"kernel": jnp.ones(1000)}
with Checkpoints(directory) as checkpoints:
    print(checkpoints.save(1, small) or checkpoints.finish())
    filler = directory.parent / "filler"
    try:
        filler.write_bytes(bytes(8 << 20))
    except OSError:
        pass
    print(checkpoints.save(2, small) or checkpoints.finish())
    print(checkpoints.latest)
    filler.unlink()
    print(checkpoints.save(3, small) or checkpoints.finish())
    print(checkpoints.latest)
with Checkpoints(directory) as checkpoints:
    print(checkpoints.restore(small).step)
"""


def test_a_full_disk_costs_one_checkpoint_and_no_more(tmp_path: Path):
    """On a file system of 4 MiB of its own, filled up between two saves."""
    mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path} && exec {sys.executable} - {tmp_path}/c"
    command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", mount]
    probe = subprocess.run(
        [*command[:-1], f"mount -t tmpfs tmpfs {tmp_path}"], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    result = subprocess.run(
        command, input=FULL_DISK, capture_output=True, text=True, timeout=300, check=False
    )
    lines = result.stdout.splitlines()
    assert len(lines) == 6, result.stderr
    assert lines[0] == "None"
    assert lines[1].startswith("the checkpoint of step 2 could not be saved (")
    assert lines[1].endswith("that of step 1 is kept")
    assert lines[2:] == ["1", "None", "3", "3"]
