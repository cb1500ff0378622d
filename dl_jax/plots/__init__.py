"""Figures drawn from numbers with matplotlib, without a display or global state."""

from dl_jax.plots.attention import attention_maps
from dl_jax.plots.bars import grouped_bars
from dl_jax.plots.classes import class_regions, labeled_points
from dl_jax.plots.confusion import confusion_matrix
from dl_jax.plots.curves import training_curves
from dl_jax.plots.decision_boundary import decision_boundary, save_boundary_animation
from dl_jax.plots.distribution import class_counts, target_histogram
from dl_jax.plots.evidence import evidence_maps
from dl_jax.plots.feature_maps import feature_maps
from dl_jax.plots.fields import ScoredPlane, scored_planes
from dl_jax.plots.filters import first_layer_filters
from dl_jax.plots.grid import confident_mistakes, prediction_grid
from dl_jax.plots.heat_map import heat_maps
from dl_jax.plots.images import image_grid, image_rows
from dl_jax.plots.lines import Curve, named_lines, named_panels
from dl_jax.plots.piano_roll import piano_roll
from dl_jax.plots.reliability import reliability_diagram
from dl_jax.plots.save import save
from dl_jax.plots.surface import landscapes, paths_on_contours
from dl_jax.plots.words import colored_words, colored_words_page, word_colors, word_map

__all__ = [
    "Curve",
    "ScoredPlane",
    "attention_maps",
    "class_counts",
    "class_regions",
    "colored_words",
    "colored_words_page",
    "confident_mistakes",
    "confusion_matrix",
    "decision_boundary",
    "evidence_maps",
    "feature_maps",
    "first_layer_filters",
    "grouped_bars",
    "heat_maps",
    "image_grid",
    "image_rows",
    "labeled_points",
    "landscapes",
    "named_lines",
    "named_panels",
    "paths_on_contours",
    "piano_roll",
    "prediction_grid",
    "reliability_diagram",
    "save",
    "save_boundary_animation",
    "scored_planes",
    "target_histogram",
    "training_curves",
    "word_colors",
    "word_map",
]
