"""A small dataset on disk, prepared as TFDS would, without TensorFlow and without a network."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
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
        writer = ArrayRecordWriter(
            str(folder / f"{base}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            png = io.BytesIO()
            Image.fromarray(image[..., 0] if channels == 1 else image, mode).save(png, "PNG")
            broken = split == splits[0][0] and index == corrupt
            example = tf_example_pb2.Example()
            feature = example.features.feature
            feature[image_name].bytes_list.value.append(b"no image" if broken else png.getvalue())
            feature[label_name].int64_list.value.append(int(label))
            writer.write(example.SerializeToString())
        writer.close()
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
    info = {
        "name": base,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": key} for key in features]}},
        "version": "1.0.0",
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split,
                "shardLengths": [str(count)],
                "numBytes": "1",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, count in splits
        ],
    }
    (folder / "features.json").write_text(json.dumps(description))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return written
