"""The tokenizer of a model folder: whole codes to ids, nothing added.

`tokenizer("ICD10CM//E11.9 ICD10CM//I10")` or `tokenizer([...], is_split_into_words=True)`. No [CLS] or
[SEP] is put around a patient, as in training. Where the vocabulary has no [UNK] (an imported Med-BERT
one) the tokenizers library raises on an unknown code ("Missing [UNK] token"): the model has no row that
could stand for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.vocabulary import SpecialTokens


def write_tokenizer(
    folder: str, tokens: Sequence[str], special: SpecialTokens, max_position_embeddings: int
) -> None:
    """Write tokenizer.json and tokenizer_config.json into a local folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: token_id for token_id, token in enumerate(tokens)}
    names = {
        f"{role}_token": tokens[token_id] for role, token_id in vars(special).items() if token_id is not None
    }
    unk = {"unk_token": names["unk_token"]} if "unk_token" in names else {}
    core = Tokenizer(models.WordLevel(ids, **unk))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=max_position_embeddings,
        truncation_side="left",  # of a long patient the latest codes are kept
        clean_up_tokenization_spaces=False,
        **names,
    ).save_pretrained(folder)


def tokens_with_space(tokens: Sequence[str]) -> int:
    """How many tokens hold white space: the tokenizer splits there, so only their ids reach them."""
    return sum(1 for token in tokens if len(token.split()) != 1)
