"""Where a vocabulary and a checkpoint come from, without running either."""

import os
import shutil
from collections import Counter

import numpy as np
import pytest

from conversion.checkpoints.checkpoint_files import find_prefix
from conversion.checkpoints.source import SourceOptions, open_source
from conversion.checkpoints.tf_checkpoint import read_tensorflow_checkpoint
from conversion.tokens.vocabulary_source import load_vocabulary
from schemas.errors import ContractError
from schemas.medbert_types import export_types
from schemas.vocabulary import (
    MEDBERT_SPECIAL_TOKENS,
    SPECIAL_TOKENS,
    STANDARD_SPECIAL_TOKENS,
    SpecialTokens,
)


def test_placeholders_stand_for_a_missing_vocabulary():
    vocabulary = load_vocabulary(None, 3)
    assert vocabulary.tokens == ("[PAD]", "[CODE_1]", "[CODE_2]")
    assert vocabulary.special == MEDBERT_SPECIAL_TOKENS


def test_types_file(tmp_path):
    (tmp_path / "v.types").write_bytes(export_types(["[PAD]", "ICD9CM//100", "ICD10CM//E11.9"]))
    vocabulary = load_vocabulary(str(tmp_path / "v.types"), 10)
    assert vocabulary.tokens == ("[PAD]", "ICD9CM//100", "ICD10CM//E11.9")
    assert vocabulary.special == MEDBERT_SPECIAL_TOKENS


@pytest.mark.parametrize(
    ("tokens", "special"),
    [
        ("[PAD] [UNK] [CLS] [MASK] a", STANDARD_SPECIAL_TOKENS),
        ("[PAD] a", MEDBERT_SPECIAL_TOKENS),
        ("a [MASK] [PAD]", SpecialTokens(pad=2, unk=None, cls=None, mask=1)),
    ],
)
def test_vocab_txt_names_its_special_tokens(tmp_path, tokens, special):
    (tmp_path / "vocab.txt").write_text(tokens.replace(" ", "\n") + "\n")
    assert load_vocabulary(str(tmp_path / "vocab.txt"), 5).special == special


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_vocab_txt_from_windows(tmp_path, mark):
    lines = [*SPECIAL_TOKENS, "C0", "C1"]
    (tmp_path / "vocab.txt").write_bytes(mark + "\r\n".join(lines).encode() + b"\r\n")
    vocabulary = load_vocabulary(str(tmp_path / "vocab.txt"), 6)
    assert vocabulary.tokens == tuple(lines)
    assert vocabulary.special == STANDARD_SPECIAL_TOKENS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\nb\n", "has no \\[PAD\\]"),
        (b"[PAD]\na\na\n", "lists a twice"),
        (b"[PAD]\na\nb\nc\nd\ne\n", "has 6 tokens and the model 5 rows"),
        (b"\xff\xfe", "is not text"),
    ],
)
def test_unusable_vocabularies_are_refused(tmp_path, text, message):
    (tmp_path / "vocab.txt").write_bytes(text)
    with pytest.raises(ContractError, match=message):
        load_vocabulary(str(tmp_path / "vocab.txt"), 5)


def test_a_checkpoint_is_found_by_prefix_index_or_folder(tensorflow_checkpoints, tmp_path):
    prefix = tensorflow_checkpoints["good"]
    folder = os.path.dirname(prefix)
    by_prefix = open_source(SourceOptions(checkpoint=prefix), str(tmp_path))
    assert by_prefix.step == 7
    assert by_prefix.config.hidden_act == "gelu_pytorch_tanh"
    assert open_source(SourceOptions(checkpoint=f"{prefix}.index"), str(tmp_path)) == by_prefix
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for before in ("", "/somewhere/else/", "../../", "C:\\\\x\\\\"):
        (copy / "checkpoint").write_text(f'model_checkpoint_path: "{before}model.ckpt-7"\n')
        found = open_source(SourceOptions(checkpoint=str(copy)), str(tmp_path))
        assert found.prefix == f"{copy}/model.ckpt-7"
        assert found.fingerprint == by_prefix.fingerprint
    for state in (b'model_checkpoint_path: "../good/other"\n', b'model_checkpoint_path: ""', b"\xff\x80\x02"):
        (copy / "checkpoint").write_bytes(state)
        with pytest.raises(ContractError, match="is no checkpoint"):
            open_source(SourceOptions(checkpoint=str(copy)), str(tmp_path))


def test_a_checkpoint_is_found_by_any_of_its_files(tensorflow_checkpoints, tmp_path):
    prefix = tensorflow_checkpoints["good"]
    copy = tmp_path / "copy"
    shutil.copytree(os.path.dirname(prefix), copy)
    (copy / "model.ckpt-7.meta").write_bytes(b"")
    (copy / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\r\n')
    ends = ("", ".index", ".meta", ".data-00000-of-00001")
    for form in (*(f"model.ckpt-7{end}" for end in ends), "checkpoint", ""):
        assert find_prefix(os.path.join(copy, form)) == f"{copy}/model.ckpt-7"
    (copy / "checkpoint").unlink()
    for folder in (str(copy), f"{copy}/"):
        assert find_prefix(folder) == f"{copy}/model.ckpt-7"
    assert open_source(SourceOptions(checkpoint=str(copy)), str(tmp_path)).step == 7
    (copy / "model.ckpt-7.index").rename(copy / "model.index")
    with pytest.raises(ContractError, match=r"there is no model\.ckpt-7\.index"):
        find_prefix(f"{copy}/model.ckpt-7.data-00000-of-00001")


def test_of_several_checkpoints_none_is_guessed(tmp_path):
    for step in (7, 20, 100):
        (tmp_path / f"model.ckpt-{step}.index").touch()
    with pytest.raises(
        ContractError, match=r"it holds 3 and no `checkpoint` file.*give one.*/model\.ckpt-100\."
    ):
        find_prefix(str(tmp_path))
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone/model.ckpt-300"\n')
    with pytest.raises(ContractError, match=r"names none that is there.*give one"):
        find_prefix(str(tmp_path))


def test_a_run_folder_is_no_checkpoint(torch_checkpoint):
    run = os.path.dirname(os.path.dirname(torch_checkpoint()))
    with pytest.raises(ContractError, match="give --run"):
        find_prefix(run)


@pytest.mark.parametrize("use_ema", [False, True])
def test_moving_averages_are_taken_where_asked_for(
    tensorflow_checkpoints, config, make_variables, tmp_path, use_ema
):
    options = SourceOptions(checkpoint=tensorflow_checkpoints["averaged"], use_ema=use_ema)
    source = open_source(options, str(tmp_path))
    weights = source.read_weights()
    expected = make_variables(config, seed=1 if use_ema else 0)
    assert weights.arrays.keys() == expected.keys()
    assert all(np.array_equal(weights.arrays[name], expected[name]) for name in expected)
    left_out = Counter(weights.ignored.values())
    assert left_out == {
        "optimiser slot": 46,
        ("not averaged" if use_ema else "moving average"): 46,
        "step counter": 1,
        "loss scaling": 2,
        "gradient accumulation": 1,
    }
    runnable = source.plainly_named(weights, str(tmp_path))
    assert (runnable.path == source.path) == (not use_ema)
    if use_ema:
        again = read_tensorflow_checkpoint(runnable.path).variables
        assert all(np.array_equal(again[name], expected[name]) for name in expected)


def test_averages_that_are_not_there_are_refused(tensorflow_checkpoints, torch_checkpoint, tmp_path):
    for name, missing in (("good", 46), ("half_averaged", 45)):
        with pytest.raises(
            ContractError, match=rf"has no moving average of {missing} variable.*leave out --use_ema"
        ):
            read_tensorflow_checkpoint(tensorflow_checkpoints[name], use_ema=True)
    with pytest.raises(ContractError, match="--use_ema with the checkpoint folder"):
        open_source(SourceOptions(checkpoint=torch_checkpoint(), use_ema=True), str(tmp_path))


def test_a_remote_checkpoint_is_copied_first(tensorflow_checkpoints, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    prefix = tensorflow_checkpoints["good"]
    for name in os.listdir(os.path.dirname(prefix)):
        memory.put_file(os.path.join(os.path.dirname(prefix), name), f"/lake/{name}")
    source = open_source(SourceOptions(checkpoint="memory://lake/model.ckpt-7"), str(tmp_path))
    assert source.prefix == f"{tmp_path}/model.ckpt-7"
    assert os.path.exists(f"{tmp_path}/model.ckpt-7.index")
    assert source.fingerprint == open_source(SourceOptions(checkpoint=prefix), str(tmp_path)).fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated index", "swapped data", "missing data", "no index at all"])
def test_a_damaged_checkpoint_is_refused(tensorflow_checkpoints, tmp_path, damage):
    folder = tmp_path / "copy"
    shutil.copytree(os.path.dirname(tensorflow_checkpoints["good"]), folder)
    data = "model.ckpt-7.data-00000-of-00001"
    index = folder / "model.ckpt-7.index"
    if damage == "truncated index":
        index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    elif damage == "swapped data":
        shutil.copy(os.path.join(os.path.dirname(tensorflow_checkpoints["other"]), data), folder / data)
    elif damage == "missing data":
        (folder / data).unlink()
    else:
        index.write_bytes(b"not a table")
    with pytest.raises(ContractError, match="cannot be read"):
        read_tensorflow_checkpoint(str(folder / "model.ckpt-7"))
