import collections
import os
import pickle

import pytest

from schemas.errors import ContractError
from schemas.medbert_types import export_types, import_types, parse_types, read_types
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

TYPES = {"empty_pad": 0, "ICD10_C50": 1, "ICD9_250.00": 2, "ICD10_c50": 3, "ICD9_25000": 4, "local 7": 5}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_every_pickle_protocol(protocol):
    assert parse_types(pickle.dumps(TYPES, protocol), "x.types") == TYPES


def test_spellings_become_ours_and_ids_stay():
    imported = import_types(TYPES, "x.types")
    assert imported.tokens == (
        "[PAD]", "ICD10CM//C50", "ICD9CM//250.00", "[MERGED_3]", "[MERGED_4]", "local 7"
    )  # fmt: skip
    assert imported.special == MEDBERT_SPECIAL_TOKENS
    assert imported.merged == ((3, 1), (4, 2))
    assert imported.unrecognised == (5,)


def test_a_code_without_its_system_s_form_does_not_take_another_s_id():
    types = {"empty_pad": 0, "ICD9_38.9": 1, "ICD9_389": 2, "ICD10_nan": 3, "ICD10_I10X": 4, "ICD10_I10": 5}
    imported = import_types(types, "x.types")
    assert imported.tokens == (
        "[PAD]", "ICD9_38.9", "ICD9CM//389", "ICD10_nan", "ICD10CM//I10", "[MERGED_5]"
    )  # fmt: skip
    assert imported.unrecognised == (1, 3)
    assert imported.merged == ((5, 4),)


def test_export_and_import_again():
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "ICD10CM//E11.9", "ICD9CM//E881.0", "RXNORM//123")
    exported = parse_types(export_types(tokens), "x.types")
    assert exported["ICD10_E11.9"] == 4
    assert exported["empty_pad"] == 0
    again = import_types(exported, "x.types")
    assert again.tokens == tokens
    assert again.special == STANDARD_SPECIAL_TOKENS
    medbert = import_types(TYPES, "x.types").tokens
    assert import_types(parse_types(export_types(medbert), "x.types"), "x.types").tokens == medbert


def test_the_original_s_own_file(shared):
    imported = read_types(f"{shared}/checkpoints/medbert_tf1/vocabulary.types")
    assert len(imported.tokens) == 301
    assert imported.tokens[:3] == ("[PAD]", "ICD10CM//P08.0", "ICD9CM//105.0")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_something_is_refused_and_not_run(tmp_path, protocol):
    trap = str(tmp_path / "executed")
    for thing in (Malicious(trap), {"empty_pad": 0, "ICD10_C50": Malicious(trap)}):
        with pytest.raises(ContractError, match="pickle instruction"):
            parse_types(pickle.dumps(thing, protocol), "x.types")
    assert not os.path.exists(trap)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(collections.OrderedDict(a=0)), "pickle instruction"),
        (pickle.dumps(["a"]), "pickle instruction"),
        (pickle.dumps("a"), "holds a str"),
        (pickle.dumps({"a": "b"}), "maps a str to a str"),
        (pickle.dumps({1: 2}), "maps a int to a int"),
        (pickle.dumps({"a": 2**40})[:-3], "cannot be read"),
        (pickle.dumps(TYPES) * 2, "bytes after its end"),
        (b"}r\xff\xff\xff\x7f.", "remembers object number"),
        (b"}}(lp", "more than one dictionary"),
        (b"cos\nsystem\n(S'true'\ntR.", "pickle instruction GLOBAL"),
        (b"", "cannot be read"),
        (b"not a pickle", "cannot be read|pickle instruction"),
        (b"u.", "cannot be read"),
        (b"}(}K\x01u.", "more than one dictionary"),
    ],
)
def test_damaged_and_foreign_files_are_refused(data, message):
    with pytest.raises(ContractError, match=message):
        parse_types(data, "x.types")


@pytest.mark.parametrize(
    "types",
    [
        {},
        {"ICD10_C50": 0},
        {"empty_pad": 0, "ICD10_C50": 2},
        {"empty_pad": 0, "ICD10_C50": 1, "ICD10_C51": 1},
        {"empty_pad": 0, "ICD10_C50": -1},
        {"empty_pad": 0, "": 1},
        {"empty_pad": 0, "ICD10_C50\nICD10_C51": 1},
        {"empty_pad": 0, "[PAD]": 1},
    ],
)
def test_ids_and_spellings_are_checked(types):
    with pytest.raises(ContractError):
        import_types(types, "x.types")


def test_missing_and_oversized_files(tmp_path, monkeypatch):
    with pytest.raises(ContractError, match="does not exist"):
        read_types(str(tmp_path / "none.types"))
    (tmp_path / "big.types").write_bytes(pickle.dumps(TYPES))
    monkeypatch.setattr("schemas.medbert_types.MAX_BYTES", 10)
    with pytest.raises(ContractError, match="at most 10 bytes"):
        read_types(str(tmp_path / "big.types"))
