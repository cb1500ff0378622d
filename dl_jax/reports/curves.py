"""Metrics of several trainings side by side."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from dl_jax import plots
from dl_jax.plots import Curve
from dl_jax.training import Fitted, metric_curve

METRICS = {
    "generator_loss": ("train", "generator's loss"),
    "discriminator_loss": ("train", "critic's loss"),
    "generator_gradient": ("train", "norm of the generator's gradient"),
    "discriminator_gradient": ("train", "norm of the critic's gradient"),
}
"""Of games: what is drawn of each."""


def game_panels(
    fitted: Mapping[str, Fitted], quality: Mapping[str, str], *, columns: int = 4
) -> Figure:
    """Losses and gradients of both networks, and the quality of samples: a line for each game.

    Args:
        fitted: by the name of the game.
        quality: metric of the validation split to the title of its panel, such as
            `{"frechet_distance": "Fréchet distance"}`.
        columns: panels in a row.
    """
    shown = {**METRICS, **{name: ("validation", title) for name, title in quality.items()}}
    panels: dict[str, dict[str, Curve]] = {
        title: {
            game: metric_curve(each, metric, split)
            for game, each in fitted.items()
            if any(metric in row for row in each.history)
        }
        for metric, (split, title) in shown.items()
    }
    return plots.named_panels(panels, x="step of the generator", columns=columns)
