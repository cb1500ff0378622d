"""A small dataset on disk, prepared as TFDS would, without TensorFlow and without a network."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

FEATURES = "tensorflow_datasets.core.features"


def prepare(
    data_dir: Path,
    name: str = "tiny_images",
    splits: tuple[tuple[str, int], ...] = (("train", 60), ("test", 20)),
    shape: tuple[int, int, int] | None = (6, 5, 1),
    corrupt: int | None = None,
    features: tuple[str, str] = ("image", "label"),
    mode: str = "L",
    labels_of: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Write a dataset under `data_dir`; returns its images and labels, split by split.

    With `shape` None the images differ in size; record `corrupt` of the first split is no PNG; the
    dataset says itself which of its `features` are the images and the labels; `mode` is Pillow's;
    `labels_of` replaces the random labels of a split.
    """
    folder = data_dir / name / "1.0.0"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    written = {}
    image_name, label_name = features
    channels = len(mode)
    base = name.split("/")[0]
    for split, count in splits:
        sizes = [shape or (*random.integers(4, 9, 2), channels) for _ in range(count)]
        images = [random.integers(0, 256, size, dtype=np.uint8) for size in sizes]
        labels = random.integers(0, 3, count)
        labels = np.array((labels_of or {}).get(split, labels))
        broken = corrupt if split == splits[0][0] else None
        write_split(
            folder,
            base,
            split,
            (
                {image_name: b"no image" if index == broken else png(image), label_name: int(label)}
                for index, (image, label) in enumerate(zip(images, labels, strict=True))
            ),
        )
        if shape is not None:
            written[split] = {"image": np.stack(images), "label": labels}
    dimensions = [str(size) for size in shape] if shape else ["-1", "-1", str(channels)]
    description = {
        "pythonClassName": f"{FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                image_name: {
                    "pythonClassName": f"{FEATURES}.image_feature.Image",
                    "image": {"dtype": "uint8", "shape": {"dimensions": dimensions}},
                },
                label_name: {
                    "pythonClassName": f"{FEATURES}.class_label_feature.ClassLabel",
                    "classLabel": {"numClasses": "3"},
                },
            }
        },
    }
    (folder / "features.json").write_text(json.dumps(description))
    write_info(folder, base, dict(splits), features)
    return written


def prepare_texts(
    data_dir: Path,
    name: str,
    splits: Mapping[str, Sequence[tuple[str | bytes, int]]],
    features: tuple[str, str] = ("sentence", "label"),
) -> None:
    """Write a dataset of texts with labels, 0 or 1, under `data_dir`."""
    folder, base = data_dir / name / "1.0.0", name.split("/")[0]
    folder.mkdir(parents=True)
    text_name, label_name = features
    for split, examples in splits.items():
        rows = (
            {text_name: t if isinstance(t, bytes) else t.encode(), label_name: label}
            for t, label in examples
        )
        write_split(folder, base, split, rows)
    kinds = {
        text_name: {"pythonClassName": f"{FEATURES}.text_feature.Text", "text": {}},
        label_name: {
            "pythonClassName": f"{FEATURES}.class_label_feature.ClassLabel",
            "classLabel": {"numClasses": "2"},
        },
    }
    described = {"features": kinds}
    (folder / "features.json").write_text(
        json.dumps(
            {
                "pythonClassName": f"{FEATURES}.features_dict.FeaturesDict",
                "featuresDict": described,
            }
        )
    )
    write_info(folder, base, {name: len(rows) for name, rows in splits.items()}, features)


def write_split(
    folder: Path, base: str, split: str, examples: Iterable[Mapping[str, bytes | int]]
) -> None:
    """The records of a split: features of bytes and of integers."""
    path = folder / f"{base}-{split}.array_record-00000-of-00001"
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for values in examples:
        example = tf_example_pb2.Example()
        for name, value in values.items():
            feature = example.features.feature[name]
            numbers = isinstance(value, int)
            (feature.int64_list if numbers else feature.bytes_list).value.append(value)
        writer.write(example.SerializeToString())
    writer.close()


def write_info(folder: Path, base: str, splits: Mapping[str, int], keys: tuple[str, str]) -> None:
    """`dataset_info.json`, with the number of examples of each split and the supervised keys."""
    info = {
        "name": base,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": key} for key in keys]}},
        "version": folder.name,
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split,
                "shardLengths": [str(count)],
                "numBytes": "1",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, count in splits.items()
        ],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))


def png(image: np.ndarray) -> bytes:
    """An image, encoded."""
    encoded = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(encoded, "PNG")
    return encoded.getvalue()


def prepare_cifar100(data_dir: Path, count: int = 200) -> None:
    """TFDS's CIFAR-100 with TFDS's own mock data, `count` examples a split."""
    folder = data_dir / "cifar100" / "3.0.2"
    folder.mkdir(parents=True)
    with tfds.testing.mock_data(count, policy=tfds.testing.MockPolicy.USE_CODE):
        builder: Any = tfds.builder("cifar100")
        builder.info.features.save_config(str(folder))
        for split in ("train", "test"):
            examples = builder.as_data_source(split)
            write_split(
                folder,
                "cifar100",
                split,
                (
                    {"image": png(e["image"]), **{n: int(e[n]) for n in ("label", "coarse_label")}}
                    for e in examples
                ),
            )
    write_info(folder, "cifar100", {"train": count, "test": count}, ("image", "label"))
