"""Named tensors in files: safetensors and npz, and networks of the Hugging Face hub. No pickles."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError

HUB_FILE = "model.safetensors"
PICKLES = {".pt", ".pth", ".bin", ".pkl", ".ckpt"}
HUB_NAME = r"[\w.-]+/[\w.-]+"


def read_tensors(source: str | os.PathLike[str]) -> tuple[dict[str, NDArray], str]:
    """The tensors of a file or of a network of the hub, and where they come from.

    Raises:
        UsageError: there is no such file or network, or it is a pickle, damaged or of another kind.
    """
    path = Path(source).expanduser()
    if path.suffix in PICKLES:
        converted = path.with_suffix(".safetensors")
        raise UsageError(
            f"{path} is a pickle, which may run any code when loaded: convert it with PyTorch, "
            'python -c "import torch; from safetensors.torch import save_file; '
            f"save_file(torch.load('{path}', weights_only=True), '{converted}')\""
        )
    if not path.exists() and path.suffix not in (".safetensors", ".npz"):
        if not re.fullmatch(HUB_NAME, str(source)):
            raise UsageError(
                f"there is no file {path}, expected one that ends in .safetensors or .npz, or a "
                "network of the hub such as timm/resnet18.a1_in1k"
            )
        path = _fetched(str(source))
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path), str(source)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}, str(source)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except Exception as error:  # of NumPy, zipfile or safetensors, which have no common one
        raise UsageError(
            f"{path} cannot be read ({str(error) or type(error).__name__}): it is damaged, or no "
            f"{path.suffix} file"
        ) from error
    raise UsageError(f"{path} ends in {path.suffix!r}, expected .safetensors or .npz")


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, NDArray]) -> None:
    """Write tensors as safetensors, in float32.

    Raises:
        UsageError: the path ends otherwise, or cannot be written.
    """
    from safetensors.numpy import save_file

    path = Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise UsageError(f"the path is {path}, expected one that ends in .safetensors")
    plain = {name: np.ascontiguousarray(t, dtype=np.float32) for name, t in tensors.items()}
    try:
        save_file(plain, path)
    except Exception as error:  # of safetensors, which has no OSError
        raise UsageError(f"{path} cannot be written ({error})") from error


def _fetched(name: str) -> Path:
    """The file of a network of the hub, which is kept in the hub's own cache."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise UsageError(
            f"{name!r} is a network of the Hugging Face hub, for which huggingface_hub is needed: "
            "pip install 'dl_jax[hub]', or give a file"
        ) from error
    try:
        return Path(hf_hub_download(name, HUB_FILE))
    except Exception as error:  # no network, no such repository or file: each has its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"the network {name!r} cannot be had from the hub ({reason}): check its name and the "
            "connection, or give a file"
        ) from error
