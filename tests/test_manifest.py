"""Folders that can be verified."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dl_jax.manifest import MANIFEST, seal, sealed_facts, verify, write_atomically


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.bin").write_bytes(bytes(range(100)))
    (folder / "inner" / "b.bin").write_bytes(b"")
    seal(folder, {"step": 3})
    return folder


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_a_whole_folder_gives_its_facts(folder: Path):
    assert verify(folder) == sealed_facts(folder) == {"step": 3}
    shutil.move(folder, folder.with_name("elsewhere"))
    assert verify(folder.with_name("elsewhere")) == {"step": 3}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: flip(f / "a.bin"), "a.bin does not have its checksum"),
        (lambda f: (f / "inner" / "b.bin").write_bytes(b"x"), "inner/b.bin does not"),
        (lambda f: (f / "a.bin").unlink(), "a.bin is missing"),
        (lambda f: shutil.rmtree(f / "inner"), "inner/b.bin is missing"),
        (lambda f: (f / MANIFEST).unlink(), "its manifest is missing"),
        (lambda f: (f / MANIFEST).write_text("{"), "its manifest is damaged"),
        (lambda f: (f / MANIFEST).write_text("[" * 10**5), "its manifest is damaged"),
        (lambda f: (f / MANIFEST).write_text("null"), "its manifest is damaged"),
        (lambda f: (f / MANIFEST).write_bytes(b"\xff"), "its manifest is damaged"),
        (lambda f: as_pipe(f / MANIFEST), "its manifest is damaged"),
        (lambda f: as_pipe(f / "a.bin"), "a.bin is not a file"),
        (lambda f: as_folder(f / MANIFEST), "its manifest is damaged"),
        (lambda f: as_folder(f / "a.bin"), "a.bin is not a file"),
    ],
)
def test_harm_is_noticed(folder: Path, harm, said: str):
    harm(folder)
    with pytest.raises(ValueError, match=said):
        verify(folder)


def test_facts_cannot_be_changed_in_silence(folder: Path):
    record = json.loads((folder / MANIFEST).read_text())
    record["facts"]["step"] = 4
    (folder / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="its own checksum"):
        sealed_facts(folder)


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
