"""Patients whose ids mean other codes than the model's are refused, however the model came by its tokens."""

import pytest

from conversion import extend_vocabulary, shrink_vocabulary
from conversion.extend_vocabulary import ExtendConfig
from conversion.model_folder import open_model
from conversion.patients.same_ids import check_same_ids
from conversion.shrink_vocabulary import ShrinkConfig
from schemas.errors import ContractError
from schemas.manifest import Manifest, read_manifest

NEW = {"ICD10CM//A00.1": 80, "ICD10CM//Z99.9": 90}
OTHER_CODES = r"ids of .* are other codes"


@pytest.fixture(autouse=True)
def without_proof(monkeypatch):
    """test_change_vocabulary runs the changed models."""
    for module in (extend_vocabulary, shrink_vocabulary):
        monkeypatch.setattr(module, "check_same_outputs", lambda *_: {})


@pytest.fixture
def codes(published_model):
    return list(open_model(published_model).codes)


@pytest.fixture
def own(write_vocabulary, codes):
    """The vocabulary that the model was trained with; each code has fewer patients than the one before."""
    return write_vocabulary("own", {code: 90 - number for number, code in enumerate(codes)})


@pytest.fixture
def extend(published_model, tmp_path):
    """Extend the model by a vocabulary; returns the new one."""

    def changed(vocabulary):
        output = str(tmp_path / "bigger")
        extend_vocabulary.extend_vocabulary(
            ExtendConfig(model=published_model, vocabulary=vocabulary, output=output)
        )
        return open_model(output)

    return changed


@pytest.fixture
def shrink(published_model, tmp_path):
    """Drop the codes that have fewer patients in a vocabulary; returns the new model."""

    def changed(vocabulary, min_patients):
        output = str(tmp_path / "smaller")
        config = ShrinkConfig(
            model=published_model, vocabulary=vocabulary, output=output, min_patients=min_patients
        )
        shrink_vocabulary.shrink(config)
        return open_model(output)

    return changed


def check(model, written_with, vocabulary=None):
    stated = read_manifest(written_with, "vocabulary").fingerprint
    patients = Manifest(kind="sequences", inputs={"vocabulary": stated})
    check_same_ids(model, patients, "sequences", vocabulary or written_with)


def test_its_own_patients_and_no_others(published_model, own, codes, write_vocabulary):
    model = open_model(published_model)
    check(model, own)
    other = write_vocabulary("other", dict.fromkeys(reversed(codes), 11))
    with pytest.raises(ContractError, match=rf"20 {OTHER_CODES}.*the first being id 4"):
        check(model, other)
    with pytest.raises(ContractError, match=r"sequences was written with vocabulary .*…, .* is "):
        check(model, other, own)
    with pytest.raises(ContractError, match="written with vocabulary that is not stated"):
        check_same_ids(model, Manifest(kind="sequences"), "sequences", own)


def test_a_vocabulary_that_grew_since_still_says_what_the_ids_mean(
    published_model, own, codes, write_vocabulary
):
    grown = write_vocabulary("grown", dict.fromkeys(codes, 95) | NEW, extends=own)
    for written_with in (own, grown):
        check(open_model(published_model), written_with, grown)


def test_an_extended_model_takes_its_first_patients_and_those_of_a_vocabulary_that_keeps_its_ids(
    own, codes, write_vocabulary, extend
):
    grown = write_vocabulary("grown", dict.fromkeys(codes, 95) | NEW, extends=own)
    model = extend(grown)
    for written_with in (own, grown):
        check(model, written_with)


def test_a_model_extended_by_an_unrelated_vocabulary_refuses_that_one_s_patients(
    own, codes, write_vocabulary, extend
):
    unrelated = write_vocabulary("unrelated", NEW | {codes[5]: 70})
    model = extend(unrelated)
    check(model, own)
    with pytest.raises(ContractError, match=OTHER_CODES):
        check(model, unrelated)


def test_a_shrunk_model_takes_patients_only_where_its_ids_are_as_they_were(
    own, codes, write_vocabulary, shrink
):
    first_codes_kept = shrink(own, 80)
    assert len(first_codes_kept.codes) == 11
    check(first_codes_kept, own)
    check(first_codes_kept, write_vocabulary("again", dict.fromkeys(codes[:11], 95)))
    one_has_few = write_vocabulary("counts", dict.fromkeys(codes, 95) | {codes[3]: 5})
    one_in_the_middle_dropped = shrink(one_has_few, 11)
    with pytest.raises(ContractError, match=OTHER_CODES):
        check(one_in_the_middle_dropped, own)
