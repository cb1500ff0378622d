"""Figures drawn from numbers, with matplotlib and without a display or any global state."""

from dl_jax.plots.confusion import confusion_matrix
from dl_jax.plots.curves import training_curves
from dl_jax.plots.filters import first_layer_filters
from dl_jax.plots.grid import confident_mistakes, prediction_grid
from dl_jax.plots.reliability import reliability_diagram
from dl_jax.plots.save import save

__all__ = [
    "confident_mistakes",
    "confusion_matrix",
    "first_layer_filters",
    "prediction_grid",
    "reliability_diagram",
    "save",
    "training_curves",
]
