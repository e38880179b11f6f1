import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.__main__ import main
from reports.embeddings_page import kinship, principal_plane, read_codes, render_embeddings
from schemas.embeddings import CODES, CODES_FILE, KIND
from schemas.manifest import Manifest, describe_file, publish_manifest, read_manifest

NUM_CODES = 40


@pytest.fixture
def embeddings(tmp_path):
    """Codes of two chapters far apart, in five dimensions, behind two special tokens."""
    rng = np.random.default_rng(0)
    tokens = ["[PAD]", "[MASK]", *(f"ICD10CM//{'EI'[n % 2]}{10 + n}" for n in range(NUM_CODES))]
    vectors = rng.normal(0, 0.1, (len(tokens), 5)).astype(np.float32)
    vectors[2::2, 3] += 1
    vectors[3::2, 3] -= 1
    columns = {"token_id": range(len(tokens)), "token": tokens, "embedding": vectors.tolist()}
    pq.write_table(pa.table(columns, schema=CODES.arrow), tmp_path / CODES_FILE)
    manifest = Manifest(
        kind=KIND,
        parameters={"pooling": "mean"},
        inputs={"model": "f" * 64},
        files=(describe_file(str(tmp_path), CODES_FILE, len(tokens)),),
        counts={"patients": 1234},
        details={"hidden_size": 5},
    )
    publish_manifest(str(tmp_path), manifest)
    return str(tmp_path)


def test_kin_are_neighbours(embeddings):
    codes = read_codes(embeddings, read_manifest(embeddings, KIND))
    assert len(codes.tokens) == NUM_CODES
    found = kinship(codes)
    assert (found.share, found.compared) == (1, NUM_CODES)
    assert found.by_chance == pytest.approx((NUM_CODES / 2 - 1) / (NUM_CODES - 1))


def test_the_plane_is_that_of_most_variance(embeddings):
    vectors = read_codes(embeddings, read_manifest(embeddings, KIND)).vectors
    places, explained = principal_plane(vectors)
    _, singular, directions = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    np.testing.assert_allclose(
        np.abs(places), np.abs((vectors - vectors.mean(0)) @ directions[:2].T), atol=1e-4
    )
    np.testing.assert_allclose(explained, singular[:2] ** 2 / (singular**2).sum(), rtol=1e-4)
    assert explained[0] > 0.9


def test_the_page(embeddings, tmp_path):
    page = render_embeddings(embeddings)
    assert page == render_embeddings(embeddings), "the same bytes every time"
    assert "Endocrine and metabolic (20)" in page and "Circulatory (20)" in page
    assert "1,230" in page and "1,234" not in page
    assert not re.search(r"(src|href)=.https?:", page)
    assert main(["embeddings", "--embeddings", embeddings, "--output", str(tmp_path / "page.html")]) == 0
    assert main(["embeddings", "--embeddings", str(tmp_path / "none"), "--output", str(tmp_path / "x")]) == 2
