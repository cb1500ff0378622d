"""Write the README's tables of results from `results/*.json`, which the runs wrote.

One table for each subject, the folder of the experiment. A result stands in it if it names the
metric that is its headline. What could not be run follows (`NOT_RUN`).

Command: python -m results
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
HEAD = [
    "| experiment | source's figure | metric | ours, on the test set | seeds | hardware | time "
    "| command |",
    "| --- | --- | --- | --- | ---: | --- | ---: | --- |",
]

NOT_RUN = {
    "cifar100": (
        "python -m experiments.vision.cifar --dataset cifar100 --seeds 3",
        "the dataset is not at hand",
    ),
}
"""Experiment to its command, and why there is no result."""


def tables(
    folder: Path, not_run: Mapping[str, tuple[str, str]] = MappingProxyType({})
) -> list[str]:
    """The lines of all tables, subjects and experiments in the order of their names.

    Args:
        folder: of the results.
        not_run: experiment to its command and why it has no result; these rows come last.

    Raises:
        ValueError: the code of a result was not committed.
    """
    records = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    by_subject: dict[str, list[str]] = {}
    for name, record in records.items():
        commit = record["environment"]["git_commit"]
        if commit is None or commit.endswith("-dirty"):
            raise ValueError(
                f"the commit of {name}.json is {commit}, expected a clean one: run it again"
            )
        by_subject.setdefault(subject(record["command"]), []).extend(rows(name, record))
    for name, (command, reason) in not_run.items():
        row = f"| {name} | none | accuracy | not run: {reason} | | | | `{command}` |"
        by_subject.setdefault(subject(command), []).append(row)
    lines = []
    for title, found in sorted(by_subject.items()):
        if found:
            lines += [f"**{title}**", "", *HEAD, *found, ""]
    return lines[:-1]


def subject(command: str) -> str:
    """The folder of the experiment that a command runs.

    >>> subject("python -m experiments.vision.mnist_cnn --seeds 3"), subject("python -m x.start")
    ('vision', 'start')
    """
    match = re.search(r"-m \w+\.(\w+)", command)
    return match.group(1) if match else "others"


def rows(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    """One row for each learner of a result that has a headline."""
    headline = record.get("headline")
    if headline is None:
        return
    test = record["test"]
    compared = {"": test} if headline in test else test
    minutes, seconds = divmod(round(record["seconds"]), 60)
    time = f"{minutes}:{seconds:02}{' for all of them' if len(compared) > 1 else ''}"
    command, source = f"`{record['command']}`", record.get("source") or "none"
    times = record.get("test_evaluations", 1)
    seen = "" if times == 1 else f" (test set evaluated {times} times)"
    for kind, measured in compared.items():
        value = measured[headline]
        lost = max(value.get("diverged", 0), measured.get("diverged", 0))
        spread = f" ± {value['std']:.4f}" if len(value["values"]) > 1 else ""
        spread += f" ({lost} diverged)" if lost else ""
        mean = "" if value["mean"] is None else f"{value['mean']:.4f}"
        yield (
            f"| {name}{kind and f': {kind}'} | {source} | {headline} "
            f"| {mean}{spread}{seen} | {len(value['values'])} "
            f"| {record['environment']['processor']} | {time} | {command} |"
        )
        time = command = "as above"
        source = "as above" if record.get("source") else source


def with_tables(readme: str, lines: list[str]) -> str:
    """The README with the tables between its markers."""
    block = "\n".join([BEGIN, *lines, END])
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: block, readme, flags=re.DOTALL)


def main() -> None:
    """Write the tables, or with `--check` only say whether they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m results", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    arguments = parser.parse_args()
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = with_tables(before, tables(ROOT / "results", NOT_RUN))
    if arguments.check:
        sys.exit(f"{readme.name} is stale" if after != before else 0)
    readme.write_text(after)
    print(f"{readme.name} is up to date" if after == before else f"{readme.name} was written")


if __name__ == "__main__":
    main()
