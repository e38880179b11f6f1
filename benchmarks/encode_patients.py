"""`python -m benchmarks.encode_patients`: vectors of a whole sequences folder, PyTorch beside onnxruntime.

Both run `python -m conversion embed` on the same CPU, in a process each, in turn. By wall, start-up and
loading are not counted; CPU seconds are those of the whole process.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from jsonargparse import auto_cli

from benchmarks.tables import markdown, write
from schemas.manifest import join

RUNTIMES = ("torch", "onnxruntime")
COLUMNS = {
    "runtime": "runtime",
    "patients_per_s": "patients/s",
    "codes_per_s": "codes/s",
    "patients_per_cpu_s": "patients a CPU second",
}


@dataclass(frozen=True)
class Measured:
    """Of one run: patients and codes, wall seconds, and CPU seconds of the whole process."""

    patients: int
    codes: int
    seconds: float
    cpu_seconds: float


def main(
    model: str,
    patients: str,
    vocabulary: str,
    output: str,
    repetitions: int = 3,
    slots: int = 2048,
    threads: int = 1,
) -> None:
    """Measure and write results.json and results.md below `output`.

    Args:
        model: a model folder.
        patients: a sequences folder, or one split's shards.
        vocabulary: the vocabulary folder that they were written with.
        output: the folder to write.
        repetitions: of each runtime; the median counts.
        slots: codes and padding of one pass at most.
        threads: of the CPU, for either.
    """
    os.makedirs(output, exist_ok=True)
    onnx = join(output, "onnx")
    _conversion("export-onnx", "--model", model, "--output", onnx)
    arguments = ["--model", model, "--patients", patients, "--slots", str(slots)]
    arguments += ["--vocabulary", vocabulary, "--threads", str(threads)]
    found: dict[str, list[Measured]] = {runtime: [] for runtime in RUNTIMES}
    for _ in range(repetitions):
        for runtime in RUNTIMES:
            further = ["--onnx", onnx] if runtime == "onnxruntime" else []
            found[runtime].append(_measure([*arguments, "--output", join(output, runtime), *further]))
    rows = [_medians(runtime, runs) for runtime, runs in found.items()]
    rates = [row["patients_per_s"] for row in rows]
    text = markdown(
        f"Vectors of {found['torch'][0].patients:,} patients, median of {repetitions}",
        COLUMNS,
        rows,
        {"onnxruntime over PyTorch, by wall": round(rates[1] / rates[0], 2)},
    )
    write(text, {runtime: [vars(run) for run in runs] for runtime, runs in found.items()}, output)
    print(text)


def _measure(arguments: list[str]) -> Measured:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(_conversion("embed", *arguments))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(result["patients"], result["codes"], result["seconds"], cpu_seconds)


def _conversion(*arguments: str) -> str:
    command = [sys.executable, "-m", "conversion", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _medians(runtime: str, runs: list[Measured]) -> dict[str, Any]:
    rates = {
        "patients_per_s": [run.patients / run.seconds for run in runs],
        "codes_per_s": [run.codes / run.seconds for run in runs],
        "patients_per_cpu_s": [run.patients / run.cpu_seconds for run in runs],
    }
    return {"runtime": runtime, **{name: round(statistics.median(found)) for name, found in rates.items()}}


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
