"""The environment of a run: versions, devices, commit."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import dl_jax
from dl_jax.errors import UsageError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def describe_environment() -> dict[str, Any]:
    """Versions, devices, processor and git commit, for `config.json`."""
    return {
        "dl_jax": dl_jax.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "backend": jax.default_backend(),
        "devices": [str(device) for device in jax.devices()],
        "processor": processor_name(),
        "git_commit": _git_commit(),
    }


def describe_devices() -> str:
    """The backend and its devices in one line; a CPU is one device with all its cores."""
    devices = jax.devices()
    return f"{jax.default_backend()}: {len(devices)} x {devices[0].device_kind}"


def require_backend(required: str | None) -> None:
    """Raise unless the backend is the required one, or none is required.

    Raises:
        UsageError: JAX runs on another backend.
    """
    try:
        present = jax.default_backend()
    except Exception as error:  # $JAX_PLATFORMS names a platform that JAX does not find
        asked = os.environ.get("JAX_PLATFORMS")
        raise UsageError(
            f"JAX finds no device for JAX_PLATFORMS={asked!r}: correct or unset that variable, or "
            "install JAX for that platform"
        ) from error
    names = {"gpu": ("gpu", "cuda", "rocm")}.get(required or "", (required,))
    if required is not None and present not in names:
        extra = {"gpu": "cuda", "tpu": "tpu"}.get(required)
        advice = (
            f"; install it with `pip install -e '.[{extra}]'` on a machine that has one"
            if extra
            else ""
        )
        raise UsageError(f"backend {required!r} is required, but JAX runs on {present!r}{advice}")


def processor_name() -> str:
    """Model name of the CPU, and whether it has `amx_bf16`, which decides bfloat16's speed."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    amx = "with amx_bf16" if "amx_bf16" in text else "no amx_bf16"
    return f"{names[0] if names else platform.machine()}, {len(names)} cores, {amx}"


def _git_commit() -> str | None:
    """Commit of the working tree, with `-dirty` if it has changes; None outside of git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(dl_jax.__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
