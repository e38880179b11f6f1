import re
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.page import render
from schemas.errors import ContractError
from schemas.vocabulary import VOCABULARY

VOID = {"meta", "br", "hr", "img", "input", "link", "path", "use", "line", "rect"}


class Document(HTMLParser):
    """A page's elements, attributes and text; every element that opens must close, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element, near line {self.getpos()}"
            self.text += " " * (tag in ("td", "th", "dt", "dd"))

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def text_of(page: str) -> str:
    return " ".join(Document(page).text.split())


@pytest.fixture(scope="module")
def whole_page(whole_run) -> str:
    return render(whole_run.uri)


def test_numbers_of_a_whole_run(whole_page):
    text = text_of(whole_page)
    for shown in (
        "Patients 20,000",
        "Visits 164,000 8.2 a patient",
        "Codes 985,050",
        "✓ Ingest diagnoses 400,000 399,000 1,000",
        "✓ Sequences patients 20,950 20,000 950",
        "discharge before admit",
        "train 14,000 70.0%",
        "Essential (primary) hypertension",
        "model 48.2% always the most frequent codes 20.0% the patient's other visits 22.0%",
        "Prolonged stay, AUC 0.886",
        "Conversion, worst error 2.1e-6 ✓",
        "2 × 32 patients a step",
        "AutoModelForPreTraining.from_pretrained('model')",
    ):
        assert shown in text
    assert "✗" not in text
    assert "not run" not in text.lower()


def test_page_is_whole_and_self_contained(whole_page):
    document = Document(whole_page)
    assert not document.open
    assert len(document.ids) == len(set(document.ids))
    links = [
        (tag, value) for tag, name, value in document.attributes if name in ("src", "href", "xlink:href")
    ]
    assert links
    assert all(value.startswith("#") for _, value in links)
    targets = {value[1:] for _, value in links} | set(re.findall(r"url\(#([^)]+)\)", whole_page))
    assert targets <= set(document.ids)
    assert not re.search(r"<script|<link|@import|url\(['\"]?(?!#)", whole_page)


def test_every_picture_says_what_it_shows(whole_page):
    document = Document(whole_page)
    pictures = [value for tag, name, value in document.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(pictures) == 13  # lengths, 6 of quality, 5 of the machine, parity
    assert all(len(alt) > 40 for alt in pictures)
    assert any("always the most frequent codes 20.0%" in alt for alt in pictures)


def test_same_run_gives_same_bytes_wherever_it_is(whole_page, fake_run):
    assert render(fake_run.write_all().uri) == whole_page


def test_nothing_of_the_machine_is_shown(whole_page, tmp_path_factory):
    assert str(tmp_path_factory.getbasetemp()) not in whole_page
    assert "/somewhere" not in whole_page


def test_the_release_check_is_shown_if_it_was_of_this_model(fake_run):
    fake_run.write_all()
    assert "Before the model is given away: make release-check." in text_of(render(fake_run.uri))
    fake_run.write_release()
    text = text_of(render(fake_run.uri))
    assert "✓ small cells" in text
    assert (
        "✓ membership inference: training patients are told from held-out ones with an AUC of 0.530" in text
    )
    fake_run.write_release(auc=0.6)
    assert "✗ membership inference" in text_of(render(fake_run.uri))
    fake_run.write_release(model_fingerprint="0" * 64)
    text = text_of(render(fake_run.uri))
    assert "✗ Another model was checked" in text
    assert "small cells" not in text


def test_a_loss_is_shown(fake_run):
    fake_run.lost = 7
    text = text_of(render(fake_run.write_all().uri))
    assert "Data: the numbers do not add up" in text
    assert "✗ Ingest fewer than 11 lost diagnoses about 400,000 about 398,990 about 1,000" in text


def test_a_handover_that_does_not_fit_is_shown(fake_run):
    fake_run.write_all("claims", "ingest", "vocabulary")
    fake_run.diagnoses -= 5
    text = text_of(render(fake_run.write_all("sequences").uri))
    assert "✗ about 399,000 diagnoses given out by ingest, read for the sequences: about 399,000" in text
    assert "✓ about 399,000 diagnoses given out by ingest, read for the vocabulary" in text


def test_a_partial_run_names_what_is_missing(fake_run):
    text = text_of(render(fake_run.write_all("claims", "ingest", "vocabulary").uri))
    for stage in ("sequences", "shards", "pretrain", "convert"):
        assert f"make {stage}" in text
    assert "make ingest" not in text
    assert "Vocabulary 8 tokens; a code has at least 11 patients" in text


def test_the_first_stage_alone_gives_a_page(fake_run):
    assert "A partial run" in text_of(render(fake_run.write_all("claims").uri))


def test_a_damaged_folder_is_named(fake_run):
    fake_run.write_all()
    fake_run.write_file("diagnoses/part-00000.parquet", b"longer than it was")
    text = text_of(render(fake_run.uri))
    assert "Ingest damaged" in text
    assert "✗ diagnoses/part-00000.parquet is not the file that was published: it has 18 bytes, not 0" in text


def test_a_folder_that_was_written_again_is_noticed(fake_run):
    fake_run.write_all()
    fake_run.rejected = {"code_missing": 1}
    fake_run.write_ingest()
    text = text_of(render(fake_run.uri))
    assert "✗ diagnoses" in text
    assert "this folder was written again since" in text


def test_rows_that_were_used_by_a_rule(fake_run, whole_page):
    assert "What was used, and noted" not in text_of(whole_page)
    fake_run.noted = {"discharge_date_fallback": 12_000, "codes_repaired": 0}
    text = text_of(render(fake_run.write_all().uri))
    assert "What was used, and noted" in text
    assert "discharge date is that of another column" in text
    assert "12,000 diagnoses" in text
    assert "codes repaired" not in text


def test_conversion_above_the_limit(fake_run):
    fake_run.largest_error = 1e-3
    text = text_of(render(fake_run.write_all().uri))
    assert "Conversion, worst error 1e-3 ✗" in text
    assert "do not agree within the limits" in text


def test_small_groups_of_patients_stay_hidden(fake_run):
    fake_run.lengths = {"train": {9: 67}, "valid": {9: 8}, "test": {9: 22}}
    fake_run.too_few_codes = 3
    page = render(fake_run.write_all("claims", "ingest", "vocabulary", "sequences", "shards").uri)
    text = text_of(page)
    assert "valid fewer than 11" in text
    assert "✓ Sequences patients about 100 about 100 fewer than 11" in text
    assert "train about 70" in text
    assert "rounded to tens" in text
    for exact in ("97", "67", "22", "8 patients", "3 patients"):
        assert not re.search(rf"(?<![\d.,]){exact}(?![\d.,%])", text), exact
    assert "8.7 a patient" in text  # not the true 9: 873 codes would give the 97 patients away


def test_rare_codes_are_not_named(fake_run, monkeypatch):
    fake_run.write_all()
    page = render(fake_run.uri)
    assert "ICD10CM//C25.0" in page  # 12 patients
    monkeypatch.setattr("reports.patients.vocabulary.SMALL_CELL_MIN_PATIENTS", 13)
    assert "ICD10CM//C25.0" not in render(fake_run.uri)


def test_a_prolonged_stay_share_of_few_patients_is_not_shown(fake_run):
    fake_run.write_all()
    assert "21.0% of these patients have a prolonged stay" in text_of(render(fake_run.uri))
    log = f"{fake_run.uri}/pretrain/metrics.jsonl"
    with open(log) as stream:
        fewer = stream.read().replace('"patients": 2000', '"patients": 40')
    fake_run.write_file("pretrain/metrics.jsonl", fewer.encode())
    assert "have a prolonged stay" not in text_of(render(fake_run.uri))


def test_metrics_that_are_missing_leave_out_their_chart(fake_run):
    fake_run.write_all()
    line = '{"kind": "train", "step": 20, "mlm_loss": null, "los_loss": NaN, "learning_rate": 0.1}\n'
    fake_run.write_file("pretrain/metrics.jsonl", line.encode())
    text = text_of(render(fake_run.uri))
    assert "Learning rate" in text
    assert "Masked-code loss, nats" not in text
    assert "Not evaluated yet" in text


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ContractError, match="is not a folder"):
        render(str(tmp_path / "nowhere"))
    with pytest.raises(ContractError, match=r"no finished stage.*Remedy: check the path"):
        render(str(tmp_path))


def test_an_imported_vocabulary_has_no_counts(fake_run):
    fake_run.write_all("claims", "ingest")
    tokens = b"[PAD]\nICD9CM//401.9\n"
    stream = pa.BufferOutputStream()
    pq.write_table(
        pa.table([[0, 1], ["[PAD]", "ICD9CM//401.9"], [0, 0], [0, 0]], VOCABULARY.column_names), stream
    )
    files = {"vocab.txt": tokens, "vocabulary.parquet": stream.getvalue().to_pybytes()}
    details = {"special_tokens": {"pad": 0, "unk": None, "cls": None, "mask": 0}, "min_patients": None}
    fake_run.publish("vocabulary", "vocabulary", files, (), counts={"codes": 1}, details=details)
    text = text_of(render(fake_run.uri))
    assert "Vocabulary 2 tokens" in text
    assert "Commonest codes" not in text
