"""Optimizers on functions of two variables: their paths side by side.

The parameters are a point in the plane, the loss is the height of the surface there.
Command: python -m experiments.basics.optimize_surface --surface rosenbrock
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax import optim, plots
from dl_jax.errors import check_integer, check_range
from dl_jax.reports import save_figures, write_result
from dl_jax.runs import RunOptions, launch, open_run


class Surface(NamedTuple):
    """A function of two variables, the extent to draw, the start of the paths, and the minima."""

    height: Callable
    extent: tuple[float, float, float, float]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]


SURFACES = {
    "rosenbrock": Surface(  # Rosenbrock (1960): a curved valley with a flat floor
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        (-2.0, 2.0, -1.0, 3.0), (-1.4, 2.2), ((1.0, 1.0),),
    ),
    "himmelblau": Surface(  # Himmelblau (1972): four minima
        lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
        (-5.0, 5.0, -5.0, 5.0), (-0.5, -1.2),
        ((3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)),
    ),
    "beale": Surface(  # Beale (1958): steep walls around a plain
        lambda x, y: (1.5 - x + x * y) ** 2
        + (2.25 - x + x * y**2) ** 2
        + (2.625 - x + x * y**3) ** 2,
        (-1.0, 4.0, -1.5, 1.5), (0.8, 1.2), ((3.0, 0.5),),
    ),
    "ravine": Surface(  # a quadratic with condition number 100
        lambda x, y: 0.5 * (x**2 + 100 * y**2), (-2.0, 2.0, -1.0, 1.0), (-1.7, 0.7), ((0.0, 0.0),),
    ),
    "rastrigin": Surface(  # Rastrigin (1974): a bowl with many local minima
        lambda x, y: 20 + x**2 + y**2 - 10 * (jnp.cos(2 * jnp.pi * x) + jnp.cos(2 * jnp.pi * y)),
        (-3.0, 3.0, -3.0, 3.0), (-1.7, 2.3), ((0.0, 0.0),),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Optimizers on a surface."""

    surface: Literal["rosenbrock", "himmelblau", "beale", "ravine", "rastrigin"] = "rosenbrock"
    """Function to minimize."""
    steps: int = 3000
    """Updates of each optimizer."""
    sgd: float = 1e-3
    """Learning rate of plain gradient descent."""
    momentum: float = 2e-4
    """Learning rate of momentum and of Nesterov momentum."""
    adaptive: float = 5e-2
    """Learning rate of rmsprop, adam and adamw; roughly the length of their steps."""
    clip_norm: float = 100.0
    """Clip gradients to this norm, for surfaces with steep walls."""
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, low=1, high=1_000_000)
        for name in ("sgd", "momentum", "adaptive", "clip_norm"):
            check_range(name, getattr(self, name), low=0, high=1e9, exclusive_low=True)


@partial(jax.jit, static_argnums=(0, 2, 3))
def descend(height, start, optimizer: optax.GradientTransformation, steps: int):
    """The points visited, `[steps + 1, 2]`."""

    def step(carry, _):
        point, state = carry
        updates, state = optimizer.update(jax.grad(height)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    point = jnp.asarray(start)
    (last, _), visited = jax.lax.scan(step, (point, optimizer.init(point)), length=steps)
    return jnp.concatenate([visited, last[None]])


def main(config: Config) -> None:
    """Run all optimizers and draw."""
    surface = SURFACES[config.surface]
    optimizers = {
        "sgd": optim.sgd(config.sgd),
        "momentum": optim.momentum(config.momentum),
        "nesterov": optim.nesterov(config.momentum),
        "rmsprop": optim.rmsprop(config.adaptive),
        "adam": optim.adam(config.adaptive),
        "adamw": optim.adamw(config.adaptive, weight_decay=1e-3),
    }
    clip = optax.clip_by_global_norm(config.clip_norm)

    def height(point):
        return surface.height(point[0], point[1])

    run, began = open_run("optimize_surface", config, config.run), time.monotonic()
    paths, heights, summary = {}, {}, {}
    for name, optimizer in optimizers.items():
        optimizer = optax.chain(clip, optimizer)
        paths[name] = np.asarray(descend(height, surface.start, optimizer, config.steps))
        heights[name] = np.asarray(jax.vmap(height)(paths[name]))
        distances = np.linalg.norm(paths[name][-1] - np.array(surface.minima), axis=1)
        summary[name] = {"height": float(heights[name][-1]), "distance": float(distances.min())}
    write_result(run, {"last": summary}, time.monotonic() - began)

    at = np.arange(config.steps + 1)
    curves = {name: (at, values[None]) for name, values in heights.items()}
    figures = {
        "paths": lambda: plots.paths_on_contours(
            surface.height, surface.extent, paths, np.array(surface.minima), title=config.surface
        ),
        "heights": lambda: plots.named_lines(curves, x="step", y="height", log_scale=True),
    }
    save_figures(run, figures)
    for name, last in summary.items():
        print(f"{name:9} height {last['height']:.3g}, {last['distance']:.3g} from a minimum")
    print(f"figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
