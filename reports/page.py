"""A run as a page: what the template is given, and the template filled in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reports import numbers
from reports.collect import DONE, MISSING, MODEL_FOLDER, UNFINISHED, collect
from reports.environment import environment
from reports.flow import DISTINCT_CODES, balances, noted
from reports.handovers import handovers
from reports.headlines import accuracy, headlines, shown_counts, subtitle
from reports.lengths import length_facts, length_histogram_picture
from reports.parity import parity_of, parity_picture
from reports.patients import all_lengths, example_codes, splits, top_codes
from reports.privacy import ShownCounts
from reports.provenance import provenance
from reports.release import release_of
from reports.summary import load_code
from reports.training import SOURCES, training_section

TEMPLATE = "run.html.j2"


def render(run_uri: str) -> str:
    """The page of a run folder, as HTML. Raises ContractError when the folder is no run."""
    run = collect(run_uri)
    flows, checks, found_splits = balances(run), handovers(run), splits(run)
    counts = shown_counts(run)
    lengths = all_lengths(found_splits)
    parity = parity_of(run.conversion)
    return (
        environment(**_filters(counts))
        .get_template(TEMPLATE)
        .render(
            run=run,
            sources=SOURCES,
            subtitle=subtitle(run),
            problems=[problem for stage in run.stages for problem in stage.problems],
            missing=[stage for stage in run.stages if stage.state in (MISSING, UNFINISHED)],
            tiles=headlines(run, counts, parity),
            accuracy=accuracy(run.training),
            balances=flows,
            set_aside=[item for flow in flows for item in flow.reasons()],
            noted=noted(run),
            handovers=checks,
            all_add_up=all(flow.ok for flow in flows) and all(check.ok for check in checks),
            splits=found_splits,
            train_patients=next((split.patients for split in found_splits if split.name == "train"), 0),
            length_facts=length_facts(lengths, run, counts) if lengths else [],
            histogram=length_histogram_picture(lengths, run, counts) if lengths else None,
            top_codes=top_codes(run),
            training=training_section(run.training) if run.training else None,
            parity=parity,
            parity_picture=parity_picture(parity) if parity else None,
            release=release_of(run),
            provenance=provenance(run),
            load_code=load_code(MODEL_FOLDER, example_codes(run))
            if run.stage("convert").state == DONE
            else "",
            rounded=counts.rounded,
        )
    )


def _filters(counts: ShownCounts) -> dict[str, Callable[..., Any]]:
    def counted(value: int | None, unit: str = "") -> str:
        """A number of anything that patients have, under the small-cell rule."""
        return numbers.count(value) if value is None or unit == DISTINCT_CODES else counts.show(value)

    # drawn: the number that a bar may be as long as.
    return {"counted": counted, "drawn": counts.value}
