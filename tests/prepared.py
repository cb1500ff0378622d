"""A small dataset on disk, prepared as TFDS would, without TensorFlow and without a network."""

import io
import json
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
) -> dict[str, dict[str, np.ndarray]]:
    """Write a dataset under `data_dir`; returns its images and labels, split by split.

    With `shape` None the images differ in size; record `corrupt` of the first split is no PNG.
    """
    folder = data_dir / name / "1.0.0"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    written = {}
    for split, count in splits:
        sizes = [shape or (*random.integers(4, 9, 2), 1) for _ in range(count)]
        images = [random.integers(0, 256, size, dtype=np.uint8) for size in sizes]
        labels = random.integers(0, 3, count)
        writer = ArrayRecordWriter(
            str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            png = io.BytesIO()
            Image.fromarray(image[..., 0]).save(png, "PNG")
            broken = split == splits[0][0] and index == corrupt
            example = tf_example_pb2.Example()
            feature = example.features.feature
            feature["image"].bytes_list.value.append(b"no image" if broken else png.getvalue())
            feature["label"].int64_list.value.append(int(label))
            writer.write(example.SerializeToString())
        writer.close()
        if shape is not None:
            written[split] = {"image": np.stack(images), "label": labels}
    dimensions = [str(size) for size in shape] if shape else ["-1", "-1", "1"]
    features = {
        "pythonClassName": f"{FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                "image": {
                    "pythonClassName": f"{FEATURES}.image_feature.Image",
                    "image": {"dtype": "uint8", "shape": {"dimensions": dimensions}},
                },
                "label": {
                    "pythonClassName": f"{FEATURES}.class_label_feature.ClassLabel",
                    "classLabel": {"numClasses": "3"},
                },
            }
        },
    }
    info = {
        "name": name,
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
    (folder / "features.json").write_text(json.dumps(features))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return written
