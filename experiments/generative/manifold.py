"""A sheet rolled up in many dimensions: which autoencoders lay it flat?

Points of a two-dimensional sheet, rolled up in 32 dimensions, are put into two numbers and back, by
autoencoders and by principal components. Colors go along the sheet: where it is laid flat, they do
not overlap.
Sources: Tenenbaum, de Silva and Langford (2000), "A global geometric framework for nonlinear
dimensionality reduction", for the sheet; of the autoencoders, see `autoencoders`.
Command: python -m experiments.generative.manifold
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from dl_jax import plots
from dl_jax.data import SHEET, Dataset, rolled_sheet
from dl_jax.errors import UsageError, check_distinct, check_integer, check_range
from dl_jax.evaluation import measure_replicas
from dl_jax.functional import gaussian_noise, tanh
from dl_jax.learners import Learner, over_seeds, reconstructing, variational
from dl_jax.models import Model, autoencoder, features, variational_autoencoder
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, metric_curve, predict

Kind = Literal["vanilla", "denoising", "masked", "variational"]
BANDS = 10
"""Colors along the sheet."""
NEIGHBORS = 10
"""Nearest points by which neighborhoods are compared."""
DRAWN = 2000
"""Points of each panel."""


@dataclass(frozen=True)
class Config:
    """Two numbers for each point of a sheet."""

    kinds: tuple[Kind, ...] = ("vanilla", "denoising", "masked", "variational")
    """Autoencoders to compare."""
    widths: tuple[int, ...] = (128, 128)
    """Units of each level."""
    examples: int = 5000
    """Points of each split."""
    dimensions: int = 32
    """Dimensions in which the sheet is rolled up."""
    noise: float = 0.05
    """Standard deviation of the noise that the denoising one takes out, and of the points around
    what the variational one decodes."""
    hidden: float = 0.2
    """Probability that a coordinate is hidden from the masked one."""
    seeds: int = 1
    """Independent replicas of each, in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=3e-3)
    fit: FitConfig = FitConfig(steps=4000, evaluate_every=400, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_distinct("kinds", self.kinds)
        if not self.widths:
            raise UsageError("there are no widths, expected at least one level")
        check_integer("examples", self.examples, low=2 * NEIGHBORS)
        check_integer("seeds", self.seeds, low=1)
        check_range("noise", self.noise, low=0, exclusive_low=True)
        check_range("hidden", self.hidden, low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Train all, compare neighborhoods, and draw."""
    data = rolled_sheet(config.examples, dimensions=config.dimensions, seed=config.fit.seed)
    test = data["test"]
    run = open_run("manifold", config, config.run)
    fitted, measured, codes = {}, {}, {}
    for kind in config.kinds:
        model, learner = network_of(config, kind, data["train"])
        fitted[kind] = fit(over_seeds(learner, config.seeds), data, config.fit, run.part(kind))
        layer = "mean" if kind == "variational" else "encoder"
        every = predict(features(model, [layer, "decoder"]), *fitted[kind].weights, test,
                        replicas=True, inputs="point")  # fmt: skip
        if fitted[kind].trained.size:
            codes[kind] = every[layer][fitted[kind].trained[0]]
        measured[kind] = compared(test, every[layer], every["decoder"])
    principal = PCA(2, random_state=0).fit(data["train"].arrays["point"])
    codes["principal components"] = principal.transform(test.arrays["point"])
    back = principal.inverse_transform(codes["principal components"])
    extras = {"principal_components": {
        name: float(value[0])
        for name, value in compared(test, codes["principal components"][None], back[None]).items()
    }}  # fmt: skip
    figures = {
        "data": partial(draw_codes, {"the sheet": test.arrays["place"]}, test),
        "codes": partial(draw_codes, codes, test),
        "losses": partial(draw_losses, fitted),
    }
    report_each(run, fitted, measured, figures, headline="neighbors", extras=extras)


def network_of(config: Config, kind: str, train: Dataset) -> tuple[Model, Learner]:
    """The network of an autoencoder, and its learner."""
    sizes: dict[str, Any] = {"input_shape": (config.dimensions,), "widths": config.widths,
                             "latent_dim": 2, "activation": tanh}  # fmt: skip
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    if kind == "variational":
        model = variational_autoencoder(**sizes)
        return model, variational(model, optimizer, inputs="point", std=config.noise)
    corrupt = {
        "vanilla": None,
        "denoising": partial(gaussian_noise, std=config.noise),
        "masked": partial(hide_coordinates, rate=config.hidden),
    }[kind]
    model = autoencoder(**sizes)
    return model, reconstructing(model, optimizer, inputs="point", corrupt=corrupt)


def hide_coordinates(points: jax.Array, rate: float, *, key: jax.Array):
    """Points with coordinates set to zero at random, and which they are."""
    hidden = jax.random.bernoulli(key, rate, points.shape)
    return jnp.where(hidden, 0, points), hidden


def compared(test: Dataset, codes: np.ndarray, back: np.ndarray) -> dict[str, np.ndarray]:
    """Of each replica: the squared error, and the share of neighbors that remain neighbors.

    The nearest points on the sheet itself are compared with the nearest by code.
    """
    points, place = (np.asarray(test.arrays[name]) for name in ("point", "place"))
    near = nearest(place)

    def measure(codes: np.ndarray, back: np.ndarray) -> dict[str, float]:
        kept = [len(set(a) & set(b)) for a, b in zip(near, nearest(codes), strict=True)]
        return {"neighbors": np.mean(kept) / NEIGHBORS, "error": ((back - points) ** 2).mean()}

    return measure_replicas(measure, ["neighbors", "error"], codes, back)


def nearest(points: np.ndarray) -> np.ndarray:
    """Indices of the nearest other points of each, `[points, NEIGHBORS]`."""
    found = NearestNeighbors(n_neighbors=NEIGHBORS).fit(points)
    return found.kneighbors(return_distance=False)


def draw_codes(panels: Mapping[str, np.ndarray], test: Dataset):
    """Points in the plane, in the colors of bands along the sheet."""
    bands = np.minimum((test.arrays["place"][:, 0] / SHEET[0] * BANDS).astype(int), BANDS - 1)
    shown = {name: np.asarray(each[:DRAWN]) for name, each in panels.items()}
    return plots.labeled_points(shown, bands[:DRAWN], [str(band + 1) for band in range(BANDS)])


def draw_losses(fitted: Mapping[str, Fitted]):
    """The validation loss of each over training, which are not of one kind."""
    return plots.named_panels(
        {name: {name: metric_curve(each, "loss", "validation")} for name, each in fitted.items()},
        x="step",
    )


if __name__ == "__main__":
    launch(Config, main)
