"""Prepared datasets that are damaged, incomplete, mislabeled or not to be trusted."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dl_jax.data import load, load_splits
from dl_jax.errors import UsageError
from tests.prepared import prepare


def read(root: Path, split: str = "train", **options):
    return load("tiny_images", split, root, cache_dir=root / "cache", **options)


def shard(root: Path, split: str = "train") -> Path:
    return next((root / "tiny_images" / "1.0.0").glob(f"*{split}*"))


def edit(root: Path, name: str, change) -> None:
    path = root / "tiny_images" / "1.0.0" / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def shred(root: Path) -> None:
    data = bytearray(shard(root).read_bytes())
    for position in range(200, len(data) - 200, 97):
        data[position] ^= 255
    shard(root).write_bytes(data)


def say_there_are(count: int):
    def change(info) -> None:
        info["splits"][0]["shardLengths"] = [str(count)]

    return lambda root: edit(root, "dataset_info.json", change)


@pytest.mark.parametrize(
    ("harm", "said", "delete"),
    [
        (shred, "train.* is corrupt .*prepare the dataset again", True),
        (lambda root: shard(root).write_bytes(b""), "is corrupt", True),
        (lambda root: shard(root).write_bytes(b"abc"), "is corrupt", True),
        (lambda root: shard(root).unlink(), "train.* is missing: put it back", False),
        (say_there_are(70), "holds 60 records, expected 70 as dataset_info.json", False),
        (say_there_are(50), "holds 60 records, expected 50 as dataset_info.json", False),
        (say_there_are(0), "holds no examples|holds 60 records", False),
    ],
    ids=["shredded", "empty", "cut", "missing", "too many", "too few", "none"],
)
def test_deleting_is_advised_only_where_data_are_corrupt(tmp_path, harm, said, delete):
    prepare(tmp_path)
    harm(tmp_path)
    with pytest.raises(UsageError, match=said) as caught:
        read(tmp_path)
    assert ("delete" in str(caught.value)) == delete


def test_a_corrupt_record_is_named(tmp_path: Path):
    prepare(tmp_path, corrupt=17)
    with pytest.raises(UsageError, match="record 17 of 'tiny_images', split 'train'.*is corrupt"):
        read(tmp_path)


@pytest.mark.parametrize("what", ["tiny_images-train*", "features.json", "."])
def test_files_without_permission_are_not_to_be_deleted(what: str):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(root)
        for path in [root, *root.rglob("*")]:
            path.chmod(0o777)
        folder = root / "tiny_images" / "1.0.0"
        path = folder if what == "." else next(folder.glob(what))
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nobody: root may read everything
        try:
            with pytest.raises(UsageError, match="[Pp]ermission denied.*: make it readable") as at:
                read(root)
        finally:
            os.seteuid(user)
            path.chmod(0o777)
        assert str(path.name) in str(at.value)
        assert "delete" not in str(at.value)


SPELLINGS = {
    "current": lambda name: {"pythonClassName": name, "image": {"dtype": "uint8"}},
    "of the protocol buffer": lambda name: {"python_class_name": name, "image": {}},
    "legacy": lambda name: {"type": name, "content": {}},
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_features_of_other_packages_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spell, nested: bool
):
    prepare(tmp_path)
    (tmp_path / "evil_features.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    evil = spell("evil_features.Image")
    if nested:
        edit(tmp_path, "features.json", lambda f: f["featuresDict"]["features"].update(image=evil))
    else:
        (tmp_path / "tiny_images" / "1.0.0" / "features.json").write_text(json.dumps(evil))
    with pytest.raises(UsageError, match="the class 'evil_features.Image', expected one of tensor"):
        read(tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["{", "[" * 10**5, "\xff"])
def test_damaged_features_are_an_error_in_words(tmp_path: Path, text: str):
    prepare(tmp_path)
    (tmp_path / "tiny_images" / "1.0.0" / "features.json").write_text(text, "latin-1")
    with pytest.raises(UsageError, match="its features.json is damaged"):
        read(tmp_path)


@pytest.mark.parametrize("label", [3, -1])
@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_beyond_the_classes_are_named_when_loading(tmp_path: Path, split: str, label: int):
    labels = np.zeros(60 if split == "train" else 20, int)
    labels[7] = label
    prepare(tmp_path, labels_of={split: labels.tolist()})
    with pytest.raises(
        UsageError,
        match=f"record 7 of .*, split '{split}', .* has the label {label}, expected 0 to 2",
    ):
        load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")


def test_withheld_test_labels_are_replaced_by_the_validation_split(tmp_path: Path):
    splits = (("train", 60), ("validation", 9), ("test", 20))
    written = prepare(tmp_path, splits=splits, labels_of={"test": [-1] * 20})
    with pytest.warns(UserWarning, match="withheld .*: the validation split is used for the test"):
        data = load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(data["test"].arrays["label"], written["validation"]["label"])
    assert {split: len(dataset) for split, dataset in data.items()} == {
        "train": 55, "validation": 5, "test": 9,
    }  # fmt: skip


def test_withheld_test_labels_are_replaced_by_training_examples(tmp_path: Path):
    prepare(tmp_path, labels_of={"test": [-1] * 20})
    with pytest.warns(UserWarning, match="training examples held out are used for the test"):
        data = load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    assert {split: len(dataset) for split, dataset in data.items()} == {
        "train": 44, "validation": 4, "test": 12,
    }  # fmt: skip


def test_labels_without_a_number_of_classes_are_refused(tmp_path: Path):
    prepare(tmp_path)
    edit(
        tmp_path,
        "features.json",
        lambda f: f["featuresDict"]["features"]["label"].update(classLabel={}),
    )
    with pytest.raises(UsageError, match="does not say how many classes|cannot be opened"):
        read(tmp_path)
