"""A model folder is what this release writes for its configuration and vocabulary, or the check fails."""

import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conversion.model_folder import open_model, publish_changed, write_changed
from conversion.release.files import check_files
from conversion.tokens.vocabulary_source import ModelVocabulary
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.model import KIND
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS


def write(folder, name, content):
    with open(f"{folder}/{name}", "wb") as stream:
        stream.write(content)


def append(folder, name, text):
    with open(f"{folder}/{name}", "a") as stream:
        stream.write(text)


def publish_again(folder, **details):
    """Write the manifest of a folder whose files were changed, as one who wants it to pass would."""
    manifest = read_manifest_as_it_is(folder)
    files = tuple(describe_file(folder, file.path, file.rows) for file in manifest.files)
    publish_manifest(folder, replace(manifest, files=files, details={**manifest.details, **details}))


def read_manifest_as_it_is(folder):
    with open(f"{folder}/manifest.json") as stream:
        return Manifest.from_json(stream.read(), KIND, folder)


def edit_json(folder, name, **changes):
    with open(f"{folder}/{name}") as stream:
        plain = json.load(stream) | changes
    write(folder, name, (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode())


def say_another_thing(folder, name, old, new):
    with open(f"{folder}/{name}", newline="") as stream:
        text = stream.read()
    assert old in text
    write(folder, name, text.replace(old, new, 1).encode())


AUTO_MAP = {"AutoModel": "encode_patient.Model", "AutoTokenizer": ["encode_patient.Tokenizer", None]}
OF_THIS_RELEASE = "differs from the one that this release writes"
CHANGES = {
    "a command in a helper": (
        lambda folder: append(folder, "encode_patient.py", "\nimport os\nos.system('true')\n"),
        "encode_patient.py is not the file that this release ships",
    ),
    "another helper": (
        lambda folder: say_another_thing(folder, "los_head.py", "if los_pooling", "if not los_pooling"),
        "los_head.py is not the file that this release ships",
    ),
    "a line end in a helper": (
        lambda folder: say_another_thing(folder, "los_head.py", "\n", "\r\n"),
        "los_head.py is not the file that this release ships",
    ),
    "foreign code in config.json": (
        lambda folder: edit_json(folder, "config.json", auto_map=AUTO_MAP),
        "config.json has keys that a model folder does not have: auto_map",
    ),
    "foreign code in tokenizer_config.json": (
        lambda folder: edit_json(folder, "tokenizer_config.json", auto_map=AUTO_MAP, chat_template="{{x}}"),
        "tokenizer_config.json has keys that a model folder does not have: auto_map, chat_template",
    ),
    "another class": (
        lambda folder: edit_json(folder, "config.json", architectures=["BertForMaskedLM"]),
        f"config.json {OF_THIS_RELEASE}",
    ),
    "a key twice": (
        lambda folder: say_another_thing(
            folder, "config.json", '"model_type": "bert"', '"model_type": "x", "model_type": "bert"'
        ),
        f"config.json {OF_THIS_RELEASE}",
    ),
    "the erf form of GELU": (
        lambda folder: edit_json(folder, "config.json", hidden_act="gelu"),
        f"config.json {OF_THIS_RELEASE}",
    ),
    "another tokenizer class": (
        lambda folder: edit_json(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer"),
        f"tokenizer_config.json {OF_THIS_RELEASE}",
    ),
    "a code renamed in the tokenizer": (
        lambda folder: say_another_thing(folder, "tokenizer.json", "ICD10CM//E03.9", "ICD10CM//E99.9"),
        f"tokenizer.json {OF_THIS_RELEASE}",
    ),
    "a rule of the tokenizer": (
        lambda folder: say_another_thing(folder, "tokenizer.json", '"content": "A"', '"content": "B"'),
        f"tokenizer.json {OF_THIS_RELEASE}",
    ),
    "line ends of the vocabulary": (
        lambda folder: say_another_thing(folder, "vocab.txt", "\n", "\r\n"),
        f"vocab.txt {OF_THIS_RELEASE}",
    ),
    "bytes after the weights' names": (
        lambda folder: pad_the_header(folder),
        "model.safetensors holds more than its arrays",
    ),
    "weights of another type": (
        lambda folder: save_file(
            {name: array.astype(np.float16) for name, array in weights_of(folder).items()},
            f"{folder}/model.safetensors",
            metadata={"format": "pt"},
        ),
        "model.safetensors has values of float16",
    ),
    "a report that is missing": (
        lambda folder: os.remove(f"{folder}/conversion_report.json"),
        "conversion_report.json is missing",
    ),
    "a helper that is missing": (
        lambda folder: leave_out(folder, "los_head.py"),
        "los_head.py is missing; manifest.json does not list los_head.py",
    ),
    "a helper that is not listed": (
        lambda folder: leave_out(folder, "los_head.py", remove=False),
        "manifest.json does not list los_head.py",
    ),
    "a key in the manifest": (
        lambda folder: publish_again(folder, trained_for="a hospital"),
        "manifest.json has keys that a model's does not have: trained_for",
    ),
    "a code that is called special, so that nobody counts its patients": (
        lambda folder: publish_again(folder, special_tokens={"pad": 0, "unk": 7, "cls": 2, "mask": 3}),
        "manifest.json calls tokens special that are not [PAD], [UNK], [CLS], [MASK]",
    ),
}


def weights_of(folder):
    return load_file(f"{folder}/model.safetensors")


def pad_the_header(folder):
    """Spaces at the end of the header are allowed: as good a place as any for a text."""
    with open(f"{folder}/model.safetensors", "rb") as stream:
        content = stream.read()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size] + b" " * 64
    write(folder, "model.safetensors", len(header).to_bytes(8, "little") + header + content[8 + size :])


def leave_out(folder, name, remove=True):
    manifest = read_manifest_as_it_is(folder)
    if remove:
        os.remove(f"{folder}/{name}")
    publish_manifest(folder, replace(manifest, files=tuple(f for f in manifest.files if f.path != name)))


@pytest.mark.parametrize(("change", "problem"), CHANGES.values(), ids=CHANGES)
def test_what_this_release_does_not_write_fails(published_model, change, problem):
    change(published_model)
    if "is missing" not in problem:
        publish_again(published_model)
    found = check_files(open_model(published_model))
    assert not found.passed
    assert problem in found.in_words
    assert found.in_words == "; ".join(found.found["problems"])


def test_a_manifest_that_holds_more_than_is_read_fails(published_model):
    say_another_thing(published_model, "manifest.json", '"kind": "model"', '"kind": "x", "kind": "model"')
    assert check_files(open_model(published_model)).found["problems"] == [
        "manifest.json holds more than what is read of it"
    ]


def test_a_folder_as_it_was_written_passes_with_every_vocabulary(write_model, make_config, make_variables):
    for vocabulary, changes in (
        (
            ModelVocabulary(
                ("[PAD]", *(f"ICD9CM//{n}" for n in range(401, 420))), MEDBERT_SPECIAL_TOKENS, "t"
            ),
            {},
        ),
        (None, {"los_pooling": "sum", "type_vocab_size": 2}),
    ):
        config = make_config(**changes)
        folder = write_model(make_variables(config), vocabulary, config=config, max_seq_length=11)
        names = sorted(set(os.listdir(folder)) - {"README.md"})
        files = tuple(describe_file(folder, name, 0) for name in names)
        details = {"special_tokens": vars(MEDBERT_SPECIAL_TOKENS), "step": None}
        publish_manifest(folder, Manifest(kind=KIND, files=files, details=details))
        write(folder, "conversion_report.json", b"{}")
        assert check_files(open_model(folder)).found["problems"] == []


def test_a_changed_folder_gets_this_release_s_helpers_and_configuration(published_model, tmp_path):
    """No foreign code goes on into a folder that is made of this one."""
    append(published_model, "encode_patient.py", "\nimport os\n")
    edit_json(published_model, "config.json", auto_map=AUTO_MAP)
    publish_again(published_model)
    model, changed = open_model(published_model), str(tmp_path / "changed")
    os.mkdir(changed)
    write_changed(changed, model, model.read_arrays(), model.tokens, model.special)
    publish_changed(changed, model, model.special, {"change": "none"}, "## The change\n", {}, ())
    assert check_files(open_model(changed)).passed


def test_only_the_model_is_in_the_folder(published_model):
    model = open_model(published_model)
    assert check_files(model).passed
    write(published_model, "optimizer.pt", b"PK\x03\x04")
    write(published_model, "README.md", pickle.dumps({"a": 1}))
    os.symlink("/etc/hostname", f"{published_model}/los_head.py.bak")
    weights = f"{published_model}/model.safetensors"
    arrays = load_file(weights)
    save_file(arrays | {"patients": np.ones(3, np.float32)}, weights, metadata={"format": "pt", "by": "me"})
    problems = check_files(model).found["problems"]
    assert [problem.split()[0] for problem in problems] == [
        *("README.md", "los_head.py.bak", "optimizer.pt", "model.safetensors", "model.safetensors"),
    ]
    assert "has metadata ['__metadata__'" not in str(problems)
    assert "'by'" in problems[3] and "unknown patients" in problems[4]
