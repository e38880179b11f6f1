import os
import re

import pytest

from command_line.outermost import REFUSED
from reports.__main__ import main
from reports.drift import DriftLimits, compare
from reports.profile_page import render_profile, short
from schemas.manifest import Manifest
from tests.reports.profiles import a_profile, publish, without_months
from tests.reports.test_page import Document, text_of


def page_of(made, reference=None) -> str:
    drift = compare(made, reference, DriftLimits()) if reference else None
    return render_profile(made, Manifest("profile", inputs={made.stage: "ab" * 32}), reference, drift)


@pytest.fixture(scope="module")
def failing_page() -> str:
    return page_of(without_months(a_profile(), "2015-03", "2016-01"), a_profile())


def test_a_page_says_what_failed_first(failing_page):
    text = text_of(failing_page)
    assert "✗ Fail 1 of 13 checks against the reference failed: months without rows 2 (at most 0)" in text
    assert "Months without rows 2 ✗ between the first and the last" in text
    assert "Red: no rows (2015-03, 2016-01)" in text
    assert text.count("none") == 3  # two squares of the calendar, and its legend
    assert (
        "code malformed the code does not have the form of its code system 300 diagnosis_3 X999.99.9" in text
    )
    assert "patient missing the patient id is null or empty fewer than 11" in text
    assert "ICD10CM//I10 Essential (primary) hypertension 3,000 20,000 9.26% 9.26%" in text


def test_a_page_without_reference_has_no_verdict():
    text = text_of(page_of(a_profile()))
    assert "Fail" not in text and "✓ Pass" not in text and "reference" not in text
    assert "Time: no month without rows" in text


def test_page_is_whole_self_contained_and_the_same_again(failing_page):
    document = Document(failing_page)
    assert not document.open
    assert len(document.ids) == len(set(document.ids))
    links = [value for _, name, value in document.attributes if name in ("src", "href", "xlink:href")]
    assert links and all(value.startswith("#") for value in links)
    assert not re.search(r"<script|<link|@import|url\(['\"]?(?!#)", failing_page)
    pictures = [value for tag, name, value in document.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(pictures) == 5  # months, systems, visits, codes, stays
    assert all(len(alt) > 40 for alt in pictures)
    assert page_of(without_months(a_profile(), "2015-03", "2016-01"), a_profile()) == failing_page


def test_what_a_stage_does_not_have_is_left_out():
    bare = a_profile(stage="vocabulary", patients=None, visits=None, months={}, los=(), rejected={},
                     visits_per_patient=None, codes_per_patient=None)  # fmt: skip
    text = text_of(page_of(bare))
    assert "Vocabulary" in text and "4,000" in text
    assert "Patients" not in text and "Months" not in text and "Set aside" not in text


def test_months_of_few_patients_are_not_shown():
    hidden = a_profile(
        months={name: type(month)(None, {"ICD9CM": None}) for name, month in a_profile().months.items()}
    )
    assert "No month has 11 patients or more" in text_of(page_of(hidden))


def test_the_gate(tmp_path, capsys):
    here = publish(str(tmp_path / "here"), without_months(a_profile(), "2015-03"))
    there = publish(str(tmp_path / "there"), a_profile())
    page = tmp_path / "new" / "page.html"
    gate = ["profile", "--profile", here, "--reference", there, "--output", str(page)]
    assert main(gate) == 3
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    said = capsys.readouterr().out
    assert "FAIL  Months without rows: 1 (at most 0; that the reference has)" in said
    assert said.endswith("drift: FAIL: Months without rows\n")
    assert main([*gate, "--limits.months_without_rows", "1"]) == 0
    assert capsys.readouterr().out.endswith("drift: pass\n")
    assert main(["profile", "--profile", here, "--output", str(page)]) == 0


def test_a_profile_is_not_compared_with_itself(tmp_path, caplog):
    here = publish(str(tmp_path / "here"), a_profile())
    os.symlink(here, tmp_path / "link")
    for name in (here, f"{here}/", f"file://{here}", str(tmp_path / "link")):
        caplog.clear()
        gate = ["profile", "--profile", here, "--reference", name, "--output", str(tmp_path / "x.html")]
        assert main(gate) == REFUSED, name
        assert "copy the older profile" in caplog.text
    assert not (tmp_path / "x.html").exists()


def test_a_folder_that_is_no_profile_is_refused(tmp_path, caplog):
    publish(str(tmp_path / "a"), a_profile())
    (tmp_path / "a" / "profile.json").write_text("{}")
    assert main(["profile", "--profile", str(tmp_path / "a"), "--output", str(tmp_path / "x.html")]) == 2
    assert "not the file that was published" in caplog.text
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("number", "shown"), [(20, "20"), (999, "999"), (4_210, "4.2k"), (42_100, "42k"), (1_300_000, "1.3M")]
)
def test_short_numbers(number, shown):
    assert short(number) == shown
