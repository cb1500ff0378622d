"""Checkpoints: what is restored is what was saved, whatever happened to the files in between."""

import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from dl_jax.errors import RunError
from dl_jax.runs.checkpoints import Checkpoints
from tests.runs.damage import reads_damage
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


DAMAGE = {
    "byte flipped in the largest file": lambda step: flip(data_files(step)[-1], 0.5),
    "byte flipped in the digests": lambda step: flip(next((step / "digests").glob("*")), 0.3),
    "file cut": lambda step: data_files(step)[-1].write_bytes(
        data_files(step)[-1].read_bytes()[:50]
    ),
    "file missing": lambda step: (step / "tree" / "manifest.ocdbt").unlink(),
    "digests missing": lambda step: shutil.rmtree(step / "digests"),
    "folder emptied": empty,
}


@reads_damage
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_one_is_set_aside_and_the_one_before_restored(tmp_path: Path, damage):
    saved(tmp_path, 4, 8)
    damage(tmp_path / "8")
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(tree(0))
        assert restored.step == 4
        assert_same_bits(restored.tree, tree(4))
        assert len(restored.damaged) == 1
        assert restored.damaged[0].startswith("checkpoint of step 8 is damaged (")
        assert checkpoints.save(8, tree(8)) is None  # the step can be saved again
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(tree(0)).step == 8
    assert (tmp_path / "damaged-8").is_dir()


@reads_damage
@pytest.mark.parametrize("harm", [lambda path: flip(path, 0.61), Path.unlink])
def test_whatever_file_is_harmed_no_wrong_array_comes_back(tmp_path: Path, harm):
    original = saved(tmp_path / "original", 4, 8)
    for index, file in enumerate(data_files(original / "8")):
        copy = tmp_path / str(index)
        shutil.copytree(original, copy)
        harm(copy / file.relative_to(original))
        with Checkpoints(copy) as checkpoints:
            restored = checkpoints.restore(tree(0))
            assert_same_bits(restored.tree, tree(restored.step))


@reads_damage
def test_if_all_are_damaged_nothing_is_restored_or_moved(tmp_path: Path):
    saved(tmp_path, 4, 8)
    for step in (4, 8):
        empty(tmp_path / str(step))
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(RunError, match="every checkpoint in .* is damaged .*start a new run"):
            checkpoints.restore(tree(0))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "8"]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), ValueError("RESOURCE_EXHAUSTED: memory")]
)
def test_what_cannot_be_read_now_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    saved(tmp_path, 4, 8)

    def fail(*_):
        raise error

    with Checkpoints(tmp_path) as checkpoints:
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "_restore_step", fail)
            with pytest.raises(RunError, match="step 8 in .* cannot be read now .* resume again"):
                checkpoints.restore(tree(0))
        assert checkpoints.restore(tree(0)).step == 8


def test_the_configuration_is_part_of_a_checkpoint(tmp_path: Path):
    with Checkpoints(tmp_path, config={"fit": {"seed": 1}}) as checkpoints:
        checkpoints.save(4, tree(4))
    with Checkpoints(tmp_path, config={"fit": {"seed": 1}}) as checkpoints:
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
