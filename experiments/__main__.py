"""List all experiments with one line each."""

import ast
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main() -> None:
    """Print the name of every experiment and the first line of its docstring."""
    root = Path(__file__).parent
    table = Table(box=None)
    table.add_column("python -m experiments.", no_wrap=True)
    table.add_column("what it shows")
    for path in sorted(root.rglob("*.py")):
        if path.name.startswith("__"):
            continue
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        says = ast.get_docstring(ast.parse(path.read_text())) or ""
        if "\nCommand: " in says:  # the others are what scripts are made of
            table.add_row(module, says.splitlines()[0])
    Console().print(table)


if __name__ == "__main__":
    main()
