"""Weights of PyTorch's networks in and out: safetensors and npz files, and networks of a hub.

A file holds named tensors in torch's layout: a convolution's kernel is `[out, in, height, width]`
there and `[height, width, in, out]` here, a dense one `[out, in]` there and `[in, out]` here.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import isqrt, prod
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_choice
from dl_jax.models.model import Model
from dl_jax.models.resnet import resnet18, resnet34
from dl_jax.models.tensor_files import read_tensors, write_tensors
from dl_jax.models.vgg import BLOCKS, vgg16
from dl_jax.paths import check_pattern, path_names
from dl_jax.types import Leaf, Params, State, Tree

Tensors: TypeAlias = Mapping[str, NDArray]
COUNTER = "num_batches_tracked"
"""What torch's batch normalization counts beside its statistics; nothing here needs it."""
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias",
          "mean": "running_mean", "var": "running_var"}  # fmt: skip


class Architecture(NamedTuple):
    """What is known of a network that PyTorch's users have, too.

    make: the model that has the sizes of a file's tensors.
    modules: what torch calls its layers, each by our path; the file's tensors choose between
        spellings, and without a file they are torchvision's.
    flattened: channels of the images that its first dense layer sees as vectors, channels first in
        torch and last here; None where it sees their mean.
    """

    make: Callable[[Tensors], Model]
    modules: Callable[[list[str], Tensors], dict[str, str]]
    flattened: int | None = None


def load_weights(
    architecture: str, source: str | os.PathLike[str], *, skip: str | None = None
) -> tuple[Params, State]:
    """Parameters and state of a network, from a file with torch's names and layout.

    The sizes of the network (classes, width, stem, hidden layers) are those of the file. Every
    tensor is used and every parameter filled. The result is a `start` of `fit`, for which what was
    skipped is drawn: a new head on features that are learned.

    Args:
        architecture: `resnet18`, `resnet34` or `vgg16`; layers may have the names of torchvision or
            of timm.
        source: a file that ends in .safetensors or .npz, or a network of the Hugging Face hub, such
            as `timm/resnet18.a1_in1k`, for which the package huggingface_hub is needed.
        skip: parameters and state whose path this pattern matches are left out, as `head/.*`.

    Returns:
        `(params, state)`, NumPy arrays in float32.

    Raises:
        UsageError: there is no such file, or it is damaged or a pickle, which is never loaded; the
            hub has no such network or cannot be reached; tensors are missing, too many or of other
            shapes, each named; or the pattern matches nothing.
    """
    check_choice("architecture", architecture, ARCHITECTURES)
    make, modules, flattened = ARCHITECTURES[architecture]
    found, where = read_tensors(source)
    tensors = {name: t for name, t in found.items() if not name.endswith(COUNTER)}
    try:
        weights = jax.eval_shape(make(tensors).init, jax.random.key(0))
    except (KeyError, ValueError, IndexError) as error:
        raise UsageError(
            f"{where} is no {architecture} ({_reason(error)}): its tensors are {_listed(tensors)}"
        ) from error
    wanted = _by_path(weights)
    names = _torch_names(wanted, modules, tensors)
    for path in _skipped(wanted, skip):
        tensors.pop(names.pop(path), None)
    missing = [name for name in names.values() if name not in tensors]
    extra = sorted(set(tensors) - set(names.values()))
    if missing or extra:
        lacks = [f"it lacks {_listed(missing)}"] if missing else []
        has = [f"it has {_listed(extra)}, which {architecture} has not"] if extra else []
        raise UsageError(f"{where} does not fit {architecture}: {' and '.join([*lacks, *has])}")
    leaves = {}
    for path, name in names.items():
        leaf = _from_torch(tensors[name], _channels_of(path, wanted, flattened))
        shape = wanted[path].shape
        leaves[path] = leaf.reshape(shape) if leaf.size == prod(shape) and len(shape) == 2 else leaf
        if leaves[path].shape != shape:
            raise UsageError(
                f"{where} has {name!r} of shape {tensors[name].shape}, which is {path!r} of shape "
                f"{leaf.shape} here, expected {shape}"
            )
    params, state = (
        _nested({path: leaves[path] for path in path_names(tree) if path in leaves})
        for tree in weights
    )
    return params, state


def save_weights(
    path: str | os.PathLike[str], architecture: str, params: Params, state: State
) -> None:
    """Write a network as safetensors, with torchvision's names and torch's layout.

    `module.load_state_dict(safetensors.torch.load_file(path))` reads it. Of a `vgg16` it is assumed
    that its images are square: PyTorch flattens the channels first.

    Args:
        path: of the file, which ends in .safetensors.
        architecture: `resnet18`, `resnet34` or `vgg16`.
        params: of one network, as its `init` gives them.
        state: that belongs to them.

    Raises:
        UsageError: the path ends otherwise or cannot be written, or these are no parameters of this
            architecture.
    """
    check_choice("architecture", architecture, ARCHITECTURES)
    leaves = _by_path(jax.tree.map(np.asarray, (params, state)))
    make, modules, flattened = ARCHITECTURES[architecture]
    try:
        names = _torch_names(leaves, modules, {})
        tensors = {
            name: _to_torch(leaves[path], _channels_of(path, leaves, flattened))
            for path, name in names.items()
        }
        expected = _by_path(jax.eval_shape(make(tensors).init, jax.random.key(0)))
    except (KeyError, ValueError, IndexError) as error:
        raise UsageError(
            f"these are no parameters of a {architecture} ({_reason(error)}): {_listed(leaves)}"
        ) from error
    shapes = ({name: leaf.shape for name, leaf in tree.items()} for tree in (leaves, expected))
    wrong = sorted(name for name, _ in set.symmetric_difference(*(set(s.items()) for s in shapes)))
    if wrong:
        raise UsageError(
            f"these are no parameters and state of a {architecture}: {_listed(wrong)} differ"
        )
    write_tensors(path, tensors)


def _resnet(make: Callable[..., Model]) -> Callable[[Tensors], Model]:
    def made(tensors: Tensors) -> Model:
        kernel = tensors["conv1.weight"]
        width, in_channels, *window = kernel.shape
        classes = len(tensors["fc.bias"]) if "fc.bias" in tensors else 1
        stem = "imagenet" if window == [7, 7] else "cifar"
        return make(classes, stem=stem, width=width, in_channels=in_channels)

    return made


def _resnet_modules(layers: list[str], tensors: Tensors) -> dict[str, str]:
    del tensors
    spelled = [
        (r"layer(\d+)_(\d+)/", r"layer\1.\2."), ("shortcut/conv", "downsample.0"),
        ("shortcut/norm", "downsample.1"), (r"norm(\d)", r"bn\1"), ("head", "fc"),
    ]  # fmt: skip
    names = {}
    for layer in layers:
        name = layer
        for ours, theirs in spelled:
            name = re.sub(ours, theirs, name)
        names[layer] = name
    return names


def _vgg(tensors: Tensors) -> Model:
    kernel = tensors["features.0.weight"]
    batch_norm = "features.1.running_mean" in tensors
    dense = [tensors[f"{name}.weight"] for name in _vgg_dense(tensors)]
    side = isqrt(dense[0][0].size // BLOCKS[-1][-1])
    return vgg16(
        len(dense[-1]),
        input_shape=(32 * side, 32 * side, kernel.shape[1]),
        classifier=[len(kernel) for kernel in dense[:-1]],
        batch_norm=batch_norm,
    )


def _vgg_modules(layers: list[str], tensors: Tensors) -> dict[str, str]:
    norms = any("/norm" in layer for layer in layers)
    names, place = {}, 0
    for b, block in enumerate(BLOCKS, 1):
        for c in range(1, len(block) + 1):
            names[f"features/conv{b}_{c}"] = f"features.{place}"
            names[f"features/norm{b}_{c}"] = f"features.{place + 1}"
            place += 3 if norms else 2
        place += 1
    hidden = sorted(layer for layer in layers if layer.startswith("classifier/"))
    dense = _vgg_dense(tensors) or [f"classifier.{3 * i}" for i in range(len(hidden) + 1)]
    return {**names, **dict(zip([*hidden, "head"], dense, strict=False))}


def _vgg_dense(tensors: Tensors) -> list[str]:
    """The dense layers of a file, in order: `classifier.0`, or `pre_logits.fc1` as timm has it."""
    pattern = r"((?:classifier|pre_logits|head)\.(?:fc)?\d*)\.weight"
    found = [match[1] for name in tensors if (match := re.fullmatch(pattern, name))]
    return sorted(found, key=lambda name: (name.startswith("head"), len(name), name))


ARCHITECTURES = {
    "resnet18": Architecture(_resnet(resnet18), _resnet_modules),
    "resnet34": Architecture(_resnet(resnet34), _resnet_modules),
    "vgg16": Architecture(_vgg, _vgg_modules, BLOCKS[-1][-1]),
}


def _torch_names(
    paths: Iterable[str], modules: Callable[[list[str], Tensors], dict[str, str]], tensors: Tensors
) -> dict[str, str]:
    """What torch calls each leaf, by our path."""
    split = [path.rsplit("/", 1) for path in paths]
    named = modules(list(dict.fromkeys(layer for layer, _ in split)), tensors)
    return {f"{layer}/{leaf}": f"{named[layer]}.{LEAVES[leaf]}" for layer, leaf in split}


def _to_torch(leaf: NDArray, channels: int | None) -> NDArray:
    """A leaf in torch's layout; `channels` are those of flattened images, for the layer after."""
    if leaf.ndim == 4:
        return leaf.transpose(3, 2, 0, 1)
    if leaf.ndim != 2:
        return leaf
    side = isqrt(len(leaf) // (channels or len(leaf)))
    kernel = leaf.reshape(side, side, channels or len(leaf), -1)
    return kernel.transpose(3, 2, 0, 1).reshape(leaf.shape[1], -1)


def _from_torch(tensor: NDArray, channels: int | None) -> NDArray[np.float32]:
    """A tensor in our layout, the inverse of `_to_torch`; timm has dense kernels of four axes."""
    if tensor.ndim == 2:
        side = isqrt(tensor.shape[1] // (channels or tensor.shape[1]))
        tensor = tensor.reshape(len(tensor), -1, side, side)
    ours = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor
    return np.ascontiguousarray(ours, np.float32)


def _channels_of(path: str, paths: Iterable[str], flattened: int | None) -> int | None:
    """`flattened`, if this path is that of the first dense kernel."""
    dense = [name for name in ("classifier/dense1/kernel", "head/kernel") if name in paths]
    return flattened if dense[:1] == [path] else None


def _skipped(paths: Iterable[str], skip: str | None) -> list[str]:
    if skip is None:
        return []
    check_pattern(skip)
    found = [path for path in paths if re.fullmatch(skip, path)]
    if not found:
        raise UsageError(f"skip is {skip!r}, which matches none of the paths {_listed(paths)}")
    return found


def _by_path(weights: Tree) -> dict[str, Leaf]:
    """Leaves of parameters and state by path: no path is in both."""
    return {
        name: leaf
        for tree in weights
        for name, leaf in zip(path_names(tree), jax.tree.leaves(tree), strict=True)
    }


def _nested(leaves: Mapping[str, NDArray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *layers, name = path.split("/")
        node = tree
        for layer in layers:
            node = node.setdefault(layer, {})
        node[name] = leaf
    return tree


def _listed(names: Iterable[str], most: int = 6) -> str:
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + rest


def _reason(error: Exception) -> str:
    return f"there is no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
