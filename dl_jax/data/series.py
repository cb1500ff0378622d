"""Series of numbers in time, to be predicted one step ahead: generated, and a real one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.errors import UsageError, check_choice, check_integer

Series = NDArray[np.float64]
SHARES = {"train": (0.0, 0.7), "validation": (0.7, 0.85), "test": (0.85, 1.0)}
"""Which part of a series each split is: what is predicted lies after what is learned from."""


def sines(count: int, seed: int) -> Series:
    """The sum of three sines whose periods have no common multiple, with a little noise."""
    random, t = np.random.default_rng(seed), np.arange(count)
    waves = [np.sin(2 * np.pi * (t / period + random.random())) for period in (17.3, 41.9, 7.1)]
    return sum(waves[1:], waves[0]) + 0.05 * random.normal(size=count)


def autoregressive(count: int, seed: int) -> Series:
    """`x_t = 1.6 x_{t-1} - 0.9 x_{t-2} + noise`: waves that lose their phase."""
    noise, x = np.random.default_rng(seed).normal(size=count + 100), np.zeros(count + 100)
    for t in range(2, len(x)):
        x[t] = 1.6 * x[t - 1] - 0.9 * x[t - 2] + noise[t]
    return x[100:]


def sunspots(count: int, seed: int) -> Series:
    """The yearly number of sunspots from 1700 to 2008, as statsmodels has it.

    Raises:
        UsageError: the library is missing.
    """
    del count, seed
    try:
        from statsmodels.datasets import sunspots as stored  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            "sunspots need the library statsmodels: pip install -e '.[series]'"
        ) from error
    return np.asarray(stored.load_pandas()["data"]["SUNACTIVITY"], np.float64)


SERIES: dict[str, Callable[[int, int], Series]] = {
    "sines": sines, "autoregressive": autoregressive, "sunspots": sunspots,
}  # fmt: skip


def load_series(
    name: str, *, length: int = 2000, window: int = 50, seed: int = 0
) -> dict[str, Dataset]:
    """The splits `train`, `validation` and `test` of a series, one after the other in time.

    `arrays` holds `series`, float32 `[windows, window, 1]`, and `target`, the same one step later.
    Windows begin at every step. Numbers are standardized by the training split.

    Args:
        name: `sines`, `autoregressive`, or `sunspots`.
        length: steps of a generated series.
        window: steps of a window.
        seed: of a generated series.

    Raises:
        UsageError: there is no such series, a library is missing, or a split is shorter than a
            window.
    """
    check_integer("length", length, low=1)
    check_integer("window", window, low=1)
    values = SERIES[check_choice("series", name, SERIES)](length, seed)
    parts = {
        split: values[round(start * len(values)) : round(stop * len(values))]
        for split, (start, stop) in SHARES.items()
    }
    mean, std = parts["train"].mean(), parts["train"].std()
    data = {}
    for split, part in parts.items():
        if len(part) < window + 2:
            raise UsageError(
                f"the {split} split of {name!r} has {len(part)} steps, expected at least "
                f"{window + 2}, two more than the window: take a shorter window"
            )
        cut = np.lib.stride_tricks.sliding_window_view((part - mean) / std, window + 1)
        cut = cut.astype(np.float32)[..., None]  # [N, T + 1, 1]
        data[split] = Dataset(name, split, {"series": cut[:, :-1], "target": cut[:, 1:]})
    return data


@dataclass(frozen=True)
class SeriesData:
    """A series of numbers."""

    dataset: str = "sines"
    """`sines` or `autoregressive`, which are generated, or `sunspots` (statsmodels)."""
    length: int = 2000
    """Steps of a generated series."""
    window: int = 50
    """Steps that a network reads at once."""

    def __post_init__(self) -> None:
        check_integer("length", self.length, low=1)
        check_integer("window", self.window, low=1)

    def load(self) -> dict[str, Dataset]:
        """Its splits `train`, `validation` and `test`, in the order of time.

        Raises:
            UsageError: there is no such series, or it is too short for the window.
        """
        return load_series(self.dataset, length=self.length, window=self.window)
