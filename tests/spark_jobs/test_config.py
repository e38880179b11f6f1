import pytest

from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.config import parse
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.write_shards import WriteShards

REQUIRED = ["--source", "omop", "--input", "a", "--output", "s3a://lake/b"]


def test_options_and_yaml_which_options_override(tmp_path):
    (tmp_path / "c.yaml").write_text("source: omop\ninput: a\noutput: b\nomop:\n  condition_types: [32821]\n")
    config = parse(IngestClaims, ["--config", str(tmp_path / "c.yaml"), "--output", "c"])
    assert (config.source, config.input, config.output) == ("omop", "a", "c")
    assert config.omop.condition_types == [32821]
    assert parse(IngestClaims, [*REQUIRED, "--omop.condition_types", "[1, 2]"]).omop.condition_types == [1, 2]
    assert parse(IngestClaims, REQUIRED).omop.condition_types == []


def test_options_of_formats_and_sources():
    options = ["--format", "csv", "--format_options", "{sep: '|', header: true}", "--as_of", "2020-01-01"]
    options += ["--claims.columns", "map.yaml", "--omop.domains", "[condition,drug]"]
    config = parse(IngestClaims, [*REQUIRED, *options, "--meds.systems", "{DIAGNOSIS//ICD//10: ICD10CM}"])
    assert (config.format, config.format_options) == ("csv", {"sep": "|", "header": True})
    assert (config.as_of, config.claims.columns) == ("2020-01-01", "map.yaml")
    assert config.omop.domains == ["condition", "drug"]
    assert config.meds.systems == {"DIAGNOSIS//ICD//10": "ICD10CM"}


def test_defaults():
    assert parse(BuildVocabulary, ["--output", "v", "--diagnoses", "d"]).min_patients == 11
    config = parse(
        WriteShards, ["--sequences", "s", "--vocabulary", "v", "--output", "o", "--formats", "[tfrecord]"]
    )
    assert config.formats == ["tfrecord"]


@pytest.mark.parametrize(
    "arguments", [["--output", "v", "--min_patient", "3"], ["--output", "v", "--min_patients", "few"]]
)
def test_an_unknown_or_unreadable_option_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(BuildVocabulary, arguments)
    assert caught.value.code == 2
    assert "min_patient" in capsys.readouterr().err
