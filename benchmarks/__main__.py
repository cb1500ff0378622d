"""Measure dl_jax against PyTorch: `python -m benchmarks mlp`, `python -m benchmarks --list`."""

import argparse
import importlib.util
import sys
from pathlib import Path

from dl_jax.memory import restart_with_fast_memory


def main() -> None:
    """Read the command line, measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "subjects", nargs="*", metavar="subject", help="what to measure; see --list"
    )
    parser.add_argument("--list", action="store_true", help="list the subjects and stop")
    parser.add_argument("--repeats", type=int, default=15, help="alternating runs of each (15)")
    parser.add_argument("--record", type=Path, help="Markdown file to put the table into")
    arguments = parser.parse_args()
    from benchmarks.workloads import SUBJECTS

    if arguments.list or not arguments.subjects:
        for name, make in SUBJECTS.items():
            print(f"{name:8} {(make.__doc__ or '').strip()}")
        return
    unknown = [name for name in arguments.subjects if name not in SUBJECTS]
    if unknown or arguments.repeats < 1:
        parser.error(
            f"subject {unknown[0]!r} is unknown, expected some of {', '.join(SUBJECTS)}"
            if unknown
            else f"repeats is {arguments.repeats}, expected at least 1"
        )
    if importlib.util.find_spec("torch") is None:
        sys.exit("error: PyTorch is not installed: pip install -e '.[bench]'")
    from benchmarks.harness import matrix_product_peak, measure
    from benchmarks.report import conditions, record, table

    for subject in arguments.subjects:
        peaks, measured = [matrix_product_peak()], []
        for workload in SUBJECTS[subject]():
            measured.append(measure(workload, arguments.repeats))
            peaks.append(matrix_product_peak())  # the machine is not always as fast
        peak = {name: max(each[name] for each in peaks) for name in peaks[0]}
        text = f"{conditions(peak)}\n\n{table(measured, peak)}"
        print(f"{text}\n", flush=True)
        if arguments.record:
            record(arguments.record, subject, text)


if __name__ == "__main__":
    restart_with_fast_memory("benchmarks")
    main()
