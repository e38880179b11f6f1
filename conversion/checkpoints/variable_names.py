"""BERT's own variable names behind a scope (`module/bert/…`) or an output number (`…/kernel:0`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.bert_names import WORD_EMBEDDINGS


def plain_names(stored: Iterable[str]) -> dict[str, str]:
    """Stored name → BERT's own. What stands outside the model's scope (global_step) keeps its name.

    Raises ValueError where the checkpoint holds several models, or two variables would get one name.
    """
    names = {name: name.removesuffix(":0") for name in stored}
    scopes = {
        name.removesuffix(WORD_EMBEDDINGS) for name in names.values() if _is_whole_end(name, WORD_EMBEDDINGS)
    }
    if len(scopes) > 1:
        listed = ", ".join(repr(scope) for scope in sorted(scopes))
        raise ValueError(f"it holds several models, in the scopes {listed}, and only one can be converted")
    scope = next(iter(scopes), "")
    plain = {name: bare.removeprefix(scope) for name, bare in names.items()}
    twice = [name for name, times in Counter(plain.values()).items() if times > 1]
    if twice:
        raise ValueError(f"it has {', '.join(sorted(twice))} several times under different names")
    return plain


def _is_whole_end(name: str, end: str) -> bool:
    return name == end or name.endswith(f"/{end}")
