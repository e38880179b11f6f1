from reports.collect import DAMAGED, DONE, ELSEWHERE, MISSING, UNFINISHED, collect
from reports.provenance import provenance


def states(run):
    return {stage.spec.name: stage.state for stage in run.stages}


def test_every_stage_is_found(whole_run):
    run = collect(whole_run.uri)
    assert run.name == "demo"
    assert set(states(run).values()) == {DONE}
    assert [entry["step"] for entry in run.training.evaluations] == [100, 200, 300, 400]
    assert run.training.starts[0]["world_size"] == 2


def test_a_trailing_slash_does_not_matter(whole_run):
    assert collect(f"{whole_run.uri}/").name == "demo"


def test_a_folder_without_manifest_has_not_been_run(fake_run):
    fake_run.write_all("claims", "ingest")
    fake_run.write_file("vocabulary/vocab.txt", b"[PAD]\n")
    found = states(collect(fake_run.uri))
    assert (found["ingest"], found["vocabulary"], found["pretrain"]) == (DONE, MISSING, MISSING)


def test_a_manifest_that_was_edited_is_damaged(fake_run):
    fake_run.write_all("claims")
    fake_run.write_file("claims/manifest.json", b"{}")
    run = collect(fake_run.uri)
    assert states(run)["claims"] == DAMAGED
    assert run.stage("claims").problems[0].startswith("claims/manifest.json cannot be read")


def test_a_split_that_is_missing_is_no_finished_stage(fake_run):
    fake_run.write_all("claims", "ingest", "vocabulary", "sequences")
    del fake_run.lengths["test"]
    fake_run.write_all("shards")
    assert states(collect(fake_run.uri))["shards"] == UNFINISHED


def test_the_line_of_a_killed_process_is_left_out(fake_run):
    fake_run.write_all("claims")
    lines = b'{"kind": "start", "step": 0, "steps": 40}\n{"kind": "train", "step": 20}\n{"kind": "train", "st'
    fake_run.write_file("pretrain/metrics.jsonl", lines)
    run = collect(fake_run.uri)
    assert run.training.train == ({"kind": "train", "step": 20},)
    assert states(run)["pretrain"] == UNFINISHED


def test_what_was_done_elsewhere_is_not_asked_for(fake_run):
    fake_run.fingerprints["claims"] = "f" * 64
    fake_run.write_all("ingest")
    found = states(collect(fake_run.uri))
    assert (found["claims"], found["ingest"], found["vocabulary"]) == (ELSEWHERE, DONE, MISSING)


def test_inputs_are_checked_against_the_run(whole_run):
    found = {entry.path: {i.name: i.ok for i in entry.inputs} for entry in provenance(collect(whole_run.uri))}
    assert found["claims"] == {}
    assert found["sequences"] == {"diagnoses": True, "vocabulary": True}
    assert found["pretrain/checkpoints/step-00000400"] == {"shards/train": True, "vocabulary": True}
    assert found["model"] == {"pretrain/checkpoints/step-00000400": True, "vocabulary": True}


def test_an_input_from_elsewhere_cannot_be_checked(fake_run):
    fake_run.fingerprints["claims"] = "f" * 64
    fake_run.write_all("ingest")
    entry = provenance(collect(fake_run.uri))[0]
    assert [(i.name, i.ok, i.note) for i in entry.inputs] == [("claims", None, "not in this run")]


def test_an_input_written_again_is_another(fake_run):
    fake_run.write_all("claims", "ingest", "vocabulary")
    fake_run.rejected = {}
    fake_run.write_all("ingest")
    found = {entry.path: entry.inputs for entry in provenance(collect(fake_run.uri))}
    assert [(i.name, i.ok) for i in found["vocabulary"]] == [("diagnoses", False)]
