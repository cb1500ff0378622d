"""Reports: what a finished run says of itself, as numbers, `result.json` and figures."""

from dl_jax.reports.classification import (
    Classification,
    classification,
    report_classification,
)
from dl_jax.reports.curves import game_panels
from dl_jax.reports.data import data_figure
from dl_jax.reports.numbers import format_mean_std, mean_and_std
from dl_jax.reports.report import (
    check_some_trained,
    report,
    report_each,
    save_figures,
    write_result,
)

__all__ = [
    "Classification",
    "check_some_trained",
    "classification",
    "data_figure",
    "format_mean_std",
    "game_panels",
    "mean_and_std",
    "report",
    "report_classification",
    "report_each",
    "save_figures",
    "write_result",
]
