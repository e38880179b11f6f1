"""What is given away of a run: by the small-cell rule, and nothing that numbers of patients follow from."""

import json

import pytest

from conversion.release.summary import accuracy_summary
from schemas.errors import ContractError

EVALUATION = {
    **{"kind": "eval", "step": 7, "patients": 303, "masked_codes": 917},
    **{"mlm_loss": 2.51234, "los_loss": 0.3, "los_auc": 0.71234, "los_base_rate": 31 / 303},
    **{f"{whose}top_{k}": k / 30 for whose in ("", "most_frequent_", "other_visits_") for k in (1, 5, 10)},
}


@pytest.fixture
def summary_of(tmp_path):
    def summary(*lines, step=7):
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return accuracy_summary(str(path), step)

    return summary


def test_only_known_metrics_are_given_away_and_rounded(summary_of):
    found = summary_of(EVALUATION | {"another": 1}, EVALUATION | {"step": 9})
    assert (found["step"], found["patients"]) == (7, 300)
    assert found.keys() == EVALUATION.keys() - {"kind", "masked_codes"}
    assert (found["mlm_loss"], found["los_auc"], found["los_base_rate"]) == (2.512, 0.712, 0.102)
    assert found["top_1"] == 0.033
    assert summary_of(EVALUATION, EVALUATION | {"step": 9}, step=None)["step"] == 9


@pytest.mark.parametrize("having", [0, 1, 10, 293, 303])
def test_a_small_group_has_no_rate_and_no_auc(summary_of, having):
    found = summary_of(EVALUATION | {"los_base_rate": having / 303})
    assert (found["los_base_rate"], found["los_auc"]) == (None, None)


def test_an_evaluation_of_few_patients_says_nothing(summary_of):
    assert summary_of(EVALUATION | {"patients": 10}) is None
    assert summary_of({name: EVALUATION[name] for name in ("kind", "step")}) is None


def test_a_metric_that_is_not_finite_is_not_known(summary_of):
    assert summary_of(EVALUATION | {"mlm_loss": float("nan"), "top_1": None})["mlm_loss"] is None


def test_a_half_written_line_is_left_out_and_a_missing_log_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(EVALUATION) + '\n{"kind": "tra')
    assert accuracy_summary(str(path), 7)["step"] == 7
    path.write_text('{"kind": "start", "step": 0, "steps": 9}\n')
    with pytest.raises(ContractError, match="has no evaluation"):
        accuracy_summary(str(path), 7)
    with pytest.raises(ContractError, match="there is no log at"):
        accuracy_summary(str(tmp_path / "gone.jsonl"), 7)
