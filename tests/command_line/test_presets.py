"""A preset holds values: whatever class it names, nothing is imported for it."""

import sys

import pytest

import trainer.__main__
from schemas.errors import ContractError
from spark_jobs.config import parse
from spark_jobs.preprocess import Preprocess
from spark_jobs.sources.claims_map_file import parse_claims_map
from spark_jobs.write_shards import WriteShards

NAMED = ["{evil}.Thing", "trainer.config.ModelConfig"]
PRESETS = {
    "a section": "data: {{class_path: {named}, init_args: {{shards: a}}}}\n",
    "a section's text": "data: {named}\n",
    "the root": "class_path: {named}\n",
    "a dotted key": "data.class_path: {named}\n",
    "an optional section": "shards: {{class_path: {named}}}\n",
    "an optional section's text": "shards: {named}\n",
    "in a list": "steps: [{{class_path: {named}}}]\n",
    "quoted": '"data": {{"class\\x5fpath": {named}}}\n',
}


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """The name of a module that leaves a file where it is imported."""
    name = "module_that_must_not_run"
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Thing: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    assert name not in sys.modules and not (tmp_path / "ran").exists()


def _preset(tmp_path, kind: str, named: str, evil: str) -> str:
    path = tmp_path / "preset.yaml"
    path.write_text(PRESETS[kind].format(named=named.format(evil=evil)))
    return str(path)


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("named", NAMED)
def test_the_trainer_and_the_jobs_import_nothing(tmp_path, evil, kind, named, capsys):
    preset = _preset(tmp_path, kind, named, evil)
    try:
        status = trainer.__main__.main(["pretrain", "--config", preset, "--output=o"])
    except SystemExit as ended:
        status = ended.code
    assert status == 2 and "error:" in capsys.readouterr().err
    for config in (Preprocess, WriteShards):
        with pytest.raises((SystemExit, ContractError)) as ended:
            parse(config, ["--config", preset])
        if isinstance(ended.value, SystemExit):
            assert ended.value.code == 2 and "error:" in capsys.readouterr().err


def test_the_message_says_what_is_wrong(tmp_path, evil):
    with pytest.raises(ContractError) as refused:
        parse(WriteShards, ["--config", _preset(tmp_path, "the root", "os.system", evil)])
    error = str(refused.value)
    assert "has the key class_path. Rule: a YAML file here holds values" in error and "Remedy: " in error


@pytest.mark.parametrize("key", ["diagnoses", "dates", "status"])
@pytest.mark.parametrize("form", ["{{class_path: {evil}.Thing}}", "{evil}.Thing"])
def test_a_column_map_imports_nothing(evil, key, form):
    with pytest.raises(ContractError, match="Remedy"):
        parse_claims_map(f"patient: p\n{key}: {form.format(evil=evil)}\n", "map.yaml")


def test_a_preset_of_aliases_is_refused(tmp_path, capsys):
    path = tmp_path / "preset.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\n")
    assert trainer.__main__.main(["pretrain", "--config", str(path)]) == 2
    assert "an alias" in capsys.readouterr().err


def test_the_projects_own_presets_are_read(project_root, capsys):
    for name in ("base", "demo", "large-batch", "med-bert-2020"):
        parser = trainer.__main__.make_parser()
        arguments = ["--data.shards=s", "--data.vocabulary=v", "--output=o"]
        read = parser.parse_args(["pretrain", "--config", f"{project_root}/configs/{name}.yaml", *arguments])
        assert parser.instantiate(read).pretrain.data.shards == "s"
