"""Whether a patient's token ids mean to a model what they meant when the patient was written."""

from __future__ import annotations

from conversion.model_folder import ModelFolder
from schemas.errors import ContractError
from schemas.manifest import Manifest, read_manifest
from schemas.vocabulary import KIND, read_vocabulary, size_when


def check_same_ids(model: ModelFolder, patients: Manifest, patients_uri: str, vocabulary: str) -> None:
    """Refuse patients whose ids mean other codes than the model's. Raises ContractError.

    patients: of sequences or shards. vocabulary: the folder that they were written with, or one that extends
    it. Tokens are compared, not fingerprints: so it doesn't matter how the model came by its tokens, and one
    that was extended still takes its first patients. An id beyond the model's last is blocks_for's to refuse.
    """
    manifest, tokens = read_manifest(vocabulary, KIND), read_vocabulary(vocabulary).tokens
    stated = patients.inputs.get(KIND)
    size = None if stated is None else size_when(manifest, len(tokens), stated)
    if size is None:
        raise ContractError(
            f"{patients_uri} was written with vocabulary {_short(stated)}, "
            f"{vocabulary} is {_short(manifest.fingerprint)}",
            "ids mean the codes of the vocabulary that they were written with",
            "give that vocabulary (--vocabulary; VOCABULARY)",
        )
    pairs = zip(tokens[:size], model.tokens, strict=False)
    different = [token_id for token_id, (theirs, own) in enumerate(pairs) if theirs != own]
    if different:
        raise ContractError(
            f"{len(different)} ids of {vocabulary} are other codes than in {model.path}, "
            f"the first being id {different[0]}",
            "an id of a patient and the same id of the model are one code",
            "write the sequences with the vocabulary that the model was trained with, or one that extends it "
            "(make vocabulary EXTEND=…)",
        )


def _short(fingerprint: str | None) -> str:
    return "that is not stated" if fingerprint is None else f"{fingerprint[:12]}…"
