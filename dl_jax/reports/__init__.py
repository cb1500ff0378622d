"""Reports: what a finished run says of itself, as numbers, `result.json` and figures."""

from dl_jax.reports.classification import report_classification
from dl_jax.reports.report import (
    format_mean_std,
    mean_and_std,
    report,
    save_figures,
    write_result,
)

__all__ = [
    "format_mean_std",
    "mean_and_std",
    "report",
    "report_classification",
    "save_figures",
    "write_result",
]
