"""No page tells of a group of 1 to 10 patients: planted in a reason, a code, a month, a length, a split.

What is planted must be neither on a page nor the difference of two numbers that are.
"""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from reports.page import render
from reports.profile_page import render_profile
from reports.summary import summarise
from reports.training_page import render_training
from schemas.profile import read_profile
from schemas.small_cells import FEW, in_words, is_small, tells_of_a_small_group
from spark_jobs.profiles import profile_of
from spark_jobs.transforms.profile import CODE, MONTH, SYSTEM, TOTAL
from tests.reports.profiles import publish
from tests.reports.test_page import text_of

SMALL = range(1, 11)
EVALUATED = dict.fromkeys(
    ("mlm_loss", "top_10", "most_frequent_top_10", "other_visits_top_10", "los_auc"), 0.5
)
# Each plants a group of so many in a run that has none.
PLANTED = {
    "rows of a reason": lambda run, few: run.rejected.update(code_missing=few),
    "rows that were used by a rule": lambda run, few: run.noted.update(discharge_date_fallback=few),
    "all rows but those of a rule": lambda run, few: run.noted.update(discharge_date_fallback=399_000 - few),
    "lost rows": lambda run, few: setattr(run, "lost", few),
    "patients of too few codes": lambda run, few: setattr(run, "too_few_codes", few),
    "patients of a split": lambda run, few: run.lengths.update(test={20: few}),
    "patients of a length": lambda run, few: run.lengths["train"].update({2_000: few}),
    "patients beyond the limit": lambda run, few: run.lengths["train"].update({600: few, 500: 1_000 - few}),
}


def _numbers(text: str) -> set[int]:
    """Whole numbers of a table or a fact, with their thousands' commas."""
    return {
        int(found.replace(",", "")) for found in re.findall(r"(?<![\w.,/-])\d[\d,]*(?![\w.,/%-]*\d)", text)
    }


def _counts(page: str) -> set[int]:
    """The numbers of the sections on data and patients: of patients and of what they have."""
    data = page[page.index('<section id="data">') : page.index('<section id="training">')]
    # Of distinct codes and of files there is no rule: those rows and cells go.
    data = re.sub(r"<tr>(?:(?!</tr>).)*distinct codes.*?</tr>", "", data, flags=re.DOTALL)
    data = re.sub(r'<td class="number">\d</td></tr>', "</tr>", data)
    cells = re.findall(r'<td class="number">(.*?)</td>|<li>(.*?)</li>', data, flags=re.DOTALL)
    return set().union(*(_numbers(text_of("".join(cell))) for cell in cells))


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("few", [1, 10])
def test_a_planted_group_is_not_on_the_run_s_page(fake_run, planted, few):
    fake_run.lengths = {split: dict(lengths) for split, lengths in fake_run.lengths.items()}
    PLANTED[planted](fake_run, few)
    fake_run.write_all()
    page = render(fake_run.uri)
    shown = _counts(page)
    assert len(shown) > 10, "the page has numbers"
    assert not any(map(is_small, shown))
    assert not {few} & {right - left for left, right in pairwise(sorted(shown))} or few == 10
    assert [number for number in shown if number % 10 and number != 11] == [], "every number is rounded"
    assert "so every number on this page is rounded to tens" in text_of(page)
    tiles = summarise(fake_run.uri).split("Masked code")[0]
    assert not re.search(rf"(Patients|Visits|Codes): {few}\b", tiles)


def test_without_a_small_group_numbers_are_exact(whole_run):
    page = render(whole_run.uri)
    assert FEW not in text_of(page) and "rounded to tens" not in text_of(page)
    assert {399_000, 985_050, 20_950, 14_000} <= _counts(page)


@pytest.mark.parametrize("few", [1, 4, 10])
def test_a_planted_group_is_in_no_profile(tmp_path, few):
    """A code, a month and a system of a few patients, on the page and in the folder that may leave."""
    import pyarrow as pa

    rows = [
        (TOTAL, "rows", "", 1_000 + few, 5_000 + few),
        (TOTAL, "patients", "visits", 1_000 + few, 3_000 + few),
        (CODE, "ICD10CM//I10", "", 1_000, 5_000),
        (CODE, "ICD10CM//C25.0", "", few, few),
        (MONTH, "2020-01", "", 1_000, 5_000),
        (MONTH, "2020-02", "", few, few),
        (SYSTEM, "ICD10CM", "", 1_000, 5_000),
        (SYSTEM, "ICD9CM", "", few, few),
    ]
    names = ("section", "key", "part", "patients", "number")
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    made = profile_of("diagnoses", table, {})
    uri = publish(str(tmp_path / "profile"), replace(made))
    found, manifest = read_profile(uri)
    assert (found.rows, found.patients, found.visits) == (
        in_tens(5_000 + few),
        in_tens(1_000 + few),
        in_tens(3_000 + few),
    )
    assert [code.token for code in found.codes] == ["ICD10CM//I10"]
    assert found.months["2020-02"].rows is None and found.systems["ICD9CM"] is None
    text = text_of(render_profile(found, manifest))
    assert "C25.0" not in text
    assert not {5_000 + few, 1_000 + few, 3_000 + few} & _numbers(text) or few == 10


def in_tens(number: int) -> int:
    return (number + 5) // 10 * 10


@pytest.mark.parametrize("few", SMALL)
def test_a_profile_of_a_few_rows_does_not_say_how_many(few):
    import pyarrow as pa

    table = pa.table({"section": [TOTAL], "key": ["rows"], "part": [""], "patients": [few], "number": [few]})
    made = profile_of("diagnoses", table, {})
    assert made.rows == 0 and made.patients is None


@pytest.mark.parametrize("few", SMALL)
def test_messages_say_few(few):
    assert in_words(few) == FEW
    assert {in_words(number) for number in SMALL} == {FEW}


@pytest.mark.parametrize("few", SMALL)
def test_numbers_that_differ_by_a_few_tell_of_them(few):
    assert tells_of_a_small_group([few])
    assert tells_of_a_small_group([500, 20_000, 500 + few])
    assert not tells_of_a_small_group([0, 11, 500, 511, 20_000])


@pytest.mark.parametrize("few", [1, 10])
def test_the_training_s_page_and_log_do_not_say_how_many(fake_run, few):
    from trainer.core import run_log

    fake_run.lengths = {"train": {4: few}, "valid": {9: few}, "test": {20: few}}
    fake_run.write_all()
    text = text_of(render_training(f"{fake_run.uri}/pretrain"))
    assert not re.search(rf"Patients seen {few}\b", text)
    said = run_log.evaluation_line(3, EVALUATED | {"patients": few})
    assert f"on {FEW} patients" in said
