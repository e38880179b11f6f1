"""How long the patients' sequences are, as a picture and in figures."""

from __future__ import annotations

from reports import numbers
from reports.collect import Run
from reports.figures import Picture, length_histogram
from reports.patients import Lengths
from reports.privacy import ShownCounts
from schemas import sequences
from schemas.small_cells import FEW, merge_small_bins, publishable_share


def max_seq_length(run: Run) -> int | None:
    """The trainer's limit; None before pretraining."""
    data = run.training.config.get("data", {}) if run.training else {}
    return data.get("max_seq_length")


def length_facts(lengths: Lengths, run: Run, counts: ShownCounts) -> list[tuple[str, str]]:
    """(label, value) of the lengths' summary."""
    facts = [
        ("codes a patient, mean", counts.mean(lengths.codes, lengths.patients)),
        ("codes a patient, median", numbers.count(lengths.quantile(0.5))),
        ("95% of patients have at most", f"{lengths.quantile(0.95):,} codes"),
    ]
    rows, unknown = (run.count(sequences.KIND, name) for name in ("rows_in", "rows_of_unknown_codes"))
    if rows and unknown is not None:
        facts.append(
            (
                "diagnoses whose code is not in the vocabulary",
                numbers.percentage(publishable_share(unknown / rows, rows)),
            )
        )
    cut = max_seq_length(run)
    if cut is not None:
        facts.append((f"patients cut to their latest {cut:,} codes", counts.show(lengths.longer_than(cut))))
    return facts


def length_histogram_picture(lengths: Lengths, run: Run, counts: ShownCounts) -> Picture | None:
    """Patients by number of codes; None when there are too few patients to show any bar."""
    edges, patients = merge_small_bins(*lengths.bins())
    if not patients:
        return None
    cut = max_seq_length(run)
    drawn = [counts.value(number) for number in patients]
    bars = ", ".join(
        f"{left:,} to {right - 1:,} codes: {counts.show(number)}"
        for left, right, number in zip(edges, edges[1:], patients, strict=False)
    )
    caption = "All splits together; each bar's range is double its left neighbour's."
    if (edges, patients) != lengths.bins():
        caption += f" Ranges with {FEW} patients are joined to their neighbours."
    if cut is not None and cut <= 2 * edges[-1]:
        caption += f" The dashed line is the trainer's limit of {cut:,} codes."
    svg = length_histogram("lengths", edges, drawn, f"Histogram of codes a patient. {bars}.", cut)
    return Picture("Codes a patient", svg, caption)
