"""Samples of a trained generator, as a picture.

Images in rows; those of a conditional generator by class, a class in each column. Points of a
generator in the plane are drawn as points.
Command: python -m experiments.generative.sample --run runs/gan/wgan_gp --count 64 --out grid.png
Trained before by: python -m experiments.generative.gan
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dl_jax import plots
from dl_jax.data import noise
from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import sigmoid
from dl_jax.models import split
from dl_jax.runs import Loaded, launch, load_run
from dl_jax.training import predict

COLUMNS = 8


@dataclass(frozen=True)
class Config:
    """A run that makes examples."""

    run: Path
    """Folder of the run, or of the part of one that is the generator, such as runs/gan/wgan_gp."""
    out: Path
    """File of the picture, whose name ends in .png."""
    count: int = 64
    """Samples."""
    seed: int = 0
    """Of the noise."""
    replica: int | None = None
    """Which network, from 0, if the run trained several."""

    def __post_init__(self) -> None:
        check_integer("count", self.count, low=1)
        check_integer("seed", self.seed, low=0)
        if self.out.suffix.lower() != ".png":
            raise UsageError(f"out is {str(self.out)!r}, expected a name that ends in .png")


def main(config: Config) -> None:
    """Load the generator, draw noise, and write the picture."""
    loaded = load_run(config.run, replica=config.replica)
    if loaded.name not in GENERATORS:
        raise UsageError(
            f"{config.run} holds {loaded.name}, expected a generator: "
            f"{', '.join(GENERATORS)}, such as the parts of a run of experiments.generative.gan"
        )
    figure = GENERATORS[loaded.name](loaded, config)
    try:
        plots.save(figure, config.out)
    except OSError as error:
        raise UsageError(f"{config.out} cannot be written ({error.strerror})") from error
    print(f"{config.count} samples in {config.out}")


def examples(loaded: Loaded, config: Config) -> np.ndarray:
    """What the generator makes of noise, and of the classes in turn if it is told them."""
    sizes = loaded.arguments
    given = noise(config.count, sizes["latent_dim"], num_classes=sizes.get("num_classes"),
                  seed=config.seed)  # fmt: skip
    names = tuple(given.arrays)
    inputs = names if len(names) > 1 else names[0]
    return predict(loaded.model, loaded.params, loaded.model_state, given, inputs=inputs)


def images(loaded: Loaded, config: Config) -> Figure:
    """Images in [-1, 1] as a grid."""
    classes = loaded.arguments.get("num_classes")
    columns = classes if classes and classes <= 2 * COLUMNS else COLUMNS
    return plots.image_grid((examples(loaded, config) + 1) / 2, columns=columns)


def places(loaded: Loaded, config: Config) -> Figure:
    """Points in the plane."""
    made = examples(loaded, config)
    if made.shape[1] != 2:
        raise UsageError(
            f"{config.run} makes points of {made.shape[1]} coordinates, expected 2: nothing else "
            "can be drawn"
        )
    return plots.labeled_points({"": made}, np.zeros(len(made), int), ("",))


def decoded(loaded: Loaded, config: Config) -> Figure:
    """Images that a variational autoencoder decodes from the prior."""
    shape = loaded.arguments["input_shape"]
    if len(shape) != 3:
        raise UsageError(f"{config.run} makes examples of shape {shape}, expected images")
    given = noise(config.count, loaded.arguments["latent_dim"], seed=config.seed)
    decoder = split(loaded.model, "mean")[1]
    logits = predict(decoder, loaded.params, loaded.model_state, given, inputs="noise")
    return plots.image_grid(np.asarray(sigmoid(logits)), columns=COLUMNS)


GENERATORS: dict[str, Callable[[Loaded, Config], Figure]] = {
    "wgan_generator": images,
    "mlp_generator": places,
    "variational_autoencoder": decoded,
}


if __name__ == "__main__":
    launch(Config, main)
