"""The measured table, as it is printed and as it stands in docs/performance.md."""

import platform
import re
from datetime import date
from importlib import metadata
from pathlib import Path

from benchmarks.harness import Measurement
from dl_jax.runs.environment import describe_devices, processor_name


def conditions(peak: dict[str, float]) -> str:
    """When and on what was measured."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "torch"))
    ceilings = ", ".join(f"{name} {value / 1e9:.0f}" for name, value in peak.items())
    return (
        f"{date.today().isoformat()}; {processor_name()}; {describe_devices()}; {versions}; "
        f"Python {platform.python_version()}; peak of a float32 matrix product of 2048: {ceilings} "
        "GFLOP/s"
    )


def table(measurements: list[Measurement], peak: dict[str, float]) -> str:
    """A Markdown table, one row a contender; the peak is the better of the two frameworks'."""
    ceiling = max(peak.values())
    lines = [
        "| work | GFLOP | contender | median ms | first run s | GFLOP/s | of peak | result |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for measured in measurements:
        flops = measured.workload.flops
        for row, timing in enumerate(measured.timings):
            rate = flops / timing.median
            lines.append(
                f"| {measured.workload.name if row == 0 else ''} "
                f"| {f'{flops / 1e9:.1f}' if flops and row == 0 else ''} | {timing.name} "
                f"| {timing.median * 1e3:.1f} | {timing.compile:.1f} "
                f"| {f'{rate / 1e9:.0f}' if rate else ''} "
                f"| {f'{rate / ceiling:.0%}' if rate else ''} "
                f"| {result(measured) if row == 0 else ''} |"
            )
    return "\n".join(lines)


def result(measured: Measurement) -> str:
    """The ratio that the workload is about, with its target or bound."""
    workload, ratio = measured.workload, measured.ratio
    if ratio is None:
        return ""
    if workload.most is not None:
        return f"{workload.reads} {1 / ratio:.2f} (at most {workload.most})"
    target = f" (target {workload.target})" if workload.target else ""
    return f"{workload.reads} **{ratio:.2f}**{target}"


def record(path: Path, subject: str, text: str) -> None:
    """Put `text` between the subject's markers in a Markdown file, adding them at its end."""
    begin, end = f"<!-- measured: {subject} -->", f"<!-- end: {subject} -->"
    block = f"{begin}\n{text}\n{end}"
    content = path.read_text()
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if re.search(pattern, content, re.DOTALL):
        content = re.sub(pattern, lambda _: block, content, flags=re.DOTALL)
    else:
        content = f"{content.rstrip()}\n\n{block}\n"
    path.write_text(content)
