"""Tables: numeric and categorical columns, and their encoding as features."""

from dl_jax.data.tables.binning import digitize, quantile_edges, uniform_edges
from dl_jax.data.tables.encoding import Encoding, encode, fit_encoding, table_splits
from dl_jax.data.tables.table import TABLES, load_table, read_csv
from dl_jax.data.tables.table_data import TableData

__all__ = [
    "TABLES",
    "Encoding",
    "TableData",
    "digitize",
    "encode",
    "fit_encoding",
    "load_table",
    "quantile_edges",
    "read_csv",
    "table_splits",
    "uniform_edges",
]
