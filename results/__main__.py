"""Write the README's table of results from `results/*.json`, which the runs wrote.

Command: python -m results
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
SOURCES = {
    "quickstart": "none",
    "mnist_mlp": "0.98 (course)",
    "mnist_cnn": "0.98 (course)",
    "fashion_mlp": "0.8794 (course)",
    "fashion_cnn": "0.8234 (course)",
    "regression": "none",
    "logistic": "none",
    "optimize_surface": "none",
    "toy_classification": "none",
    "three_ways": "none",
    "optimizers_and_initializers": "none",
    "batchnorm_dropout": "none",
    "custom_layers": "none",
    "quantile_labels": "none",
    "loss_landscape": "none",
}


def rows(folder: Path) -> list[str]:
    """The rows of the table in the order of `SOURCES`: one for each learner of each result file.

    Raises:
        ValueError: the code of a result was not committed.
    """
    table = [
        "| experiment | source's figure | test accuracy | seeds | hardware | time | command |",
        "| --- | --- | --- | ---: | --- | ---: | --- |",
    ]
    records = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    order = list(SOURCES)
    for name, record in sorted(
        records.items(), key=lambda item: order.index(item[1]["experiment"])
    ):
        commit = record["environment"]["git_commit"]
        if commit is None or commit.endswith("-dirty"):
            raise ValueError(
                f"the commit of {name}.json is {commit}, expected a clean one: run it again"
            )
        minutes, seconds = divmod(round(record["seconds"]), 60)
        compared = record.get("test", {})
        if "accuracy" in compared:
            compared = {"": compared}
        time = f"{minutes}:{seconds:02} for all {'seeds' if '' in compared else 'of them'}"
        command = f"`{record['command']}`"
        for kind, measured in compared.items():
            if "accuracy" not in measured:  # a regression, or a sweep
                continue
            accuracy = measured["accuracy"]
            spread = f" ± {accuracy['std']:.4f}" if len(accuracy["values"]) > 1 else ""
            table.append(
                f"| {name}{kind and f': {kind}'} | {SOURCES[record['experiment']]} "
                f"| {accuracy['mean']:.4f}{spread} "
                f"| {len(accuracy['values'])} "
                f"| {record['environment']['processor']} | {time} | {command} |"
            )
            time = command = "as above"
    return table


def with_table(readme: str, table: list[str]) -> str:
    """The README with the table between its markers."""
    block = "\n".join([BEGIN, *table, END])
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: block, readme, flags=re.DOTALL)


def main() -> None:
    """Write the table, or with `--check` only say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m results", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    arguments = parser.parse_args()
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = with_table(before, rows(ROOT / "results"))
    if arguments.check:
        sys.exit(f"{readme.name} is stale" if after != before else 0)
    readme.write_text(after)
    print(f"{readme.name} is up to date" if after == before else f"{readme.name} was written")


if __name__ == "__main__":
    main()
