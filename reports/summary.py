"""What a person is told at the end of `make demo`: what came out, where it lies, how to load it."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent

from reports.collect import DONE, MISSING, MODEL_FOLDER, PRETRAIN_FOLDER, UNFINISHED, Run, collect
from reports.headlines import accuracy, headlines, shown_counts
from reports.parity import parity_of
from reports.patients import example_codes
from schemas.manifest import join
from schemas.training_log import METRICS_FILE, TENSORBOARD_FOLDER

REPORT_FILE = "report.html"


def summarise(run_uri: str) -> str:
    """The text for a run folder. Raises ContractError when the folder is no run."""
    run = collect(run_uri)
    width = max(len(label) for label, _ in _places(run))
    lines = [f"Run {run.name}", ""]
    for tile in headlines(run, shown_counts(run), parity_of(run.conversion)):
        mark = {None: "", True: " ✓", False: " ✗"}[tile.ok]
        lines.append(f"  {tile.label}: {tile.value}{mark}" + f"  ({tile.note})" * bool(tile.note))
    found = accuracy(run.training)
    for row in found.rows if found else ():
        lines.append(f"  Masked code in the top 10, {row.label}: {row.share:.1%}")
    lines += ["", *(f"  {label:<{width}}  {place}" for label, place in _places(run))]
    missing = [stage.spec.name for stage in run.stages if stage.state in (MISSING, UNFINISHED)]
    if missing:
        lines += ["", f"  Not run yet, or not to its end: make {' '.join(missing)} RUN={run_uri}"]
    if run.stage("convert").state == DONE:
        lines += [
            "",
            "Load the model:",
            "",
            indent(load_code(join(run_uri, MODEL_FOLDER), example_codes(run)), "  ").rstrip(),
        ]
    return "\n".join(lines) + "\n"


def _places(run: Run) -> list[tuple[str, str]]:
    return [
        ("Model", join(run.uri, MODEL_FOLDER)),
        ("Report", join(run.uri, REPORT_FILE)),
        ("Training report", join(run.uri, PRETRAIN_FOLDER, REPORT_FILE)),
        ("Metrics", join(run.uri, PRETRAIN_FOLDER, METRICS_FILE)),
        ("TensorBoard", join(run.uri, PRETRAIN_FOLDER, TENSORBOARD_FOLDER)),
    ]


def load_code(model_folder: str, codes: Sequence[str]) -> str:
    """Python that loads a model folder and asks it for a masked code. codes: two of the vocabulary."""
    return f"""import torch
from transformers import AutoModelForPreTraining, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model_folder!r})
model = AutoModelForPreTraining.from_pretrained({model_folder!r}).eval()

codes = [{codes[0]!r}, tokenizer.mask_token, {codes[-1]!r}]  # one patient's codes, in order of the visits
visits = [1, 1, 2]  # the visit of each code, from 1
inputs = tokenizer(codes, is_split_into_words=True, return_tensors="pt")
inputs["token_type_ids"] = torch.tensor([visits])
with torch.inference_mode():
    scores = model(**inputs).prediction_logits[0, 1]  # (vocabulary size,)
print(tokenizer.convert_ids_to_tokens(scores.topk(10).indices))  # what the masked code may be
"""
