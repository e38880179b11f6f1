import pytest

from conversion.checkpoints.variable_names import plain_names

EMBEDDING = "bert/embeddings/word_embeddings"


@pytest.mark.parametrize("scope", ["", "module/", "a/b/"])
@pytest.mark.parametrize("end", ["", ":0"])
def test_scope_and_output_number_are_taken_away(scope, end):
    names = (EMBEDDING, f"{EMBEDDING}/adam_m", "cls/predictions/output_bias")
    stored = [*(f"{scope}{name}{end}" for name in names), f"global_step{end}"]
    assert tuple(plain_names(stored).values()) == (*names, "global_step")


def test_what_looks_like_no_model_keeps_its_names():
    stored = ["albert/embeddings/word_embeddings", "x/y:0", "../../etc/passwd"]
    assert list(plain_names(stored).values()) == [
        "albert/embeddings/word_embeddings",
        "x/y",
        "../../etc/passwd",
    ]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([EMBEDDING, f"teacher/{EMBEDDING}"], "several models, in the scopes '', 'teacher/'"),
        ([EMBEDDING, f"{EMBEDDING}:0"], "several times under different names"),
        ([f"m/{EMBEDDING}", "m/global_step", "global_step"], "has global_step several times"),
    ],
)
def test_ambiguous_names_are_refused(stored, message):
    with pytest.raises(ValueError, match=message):
        plain_names(stored)
