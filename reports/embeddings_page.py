"""A model's vectors of codes as a page: where they lie, by ICD chapter, and whether neighbours are kin."""

from __future__ import annotations

import colorsys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports import numbers
from reports.environment import environment
from reports.figures import Picture
from reports.svg import inline, picture
from schemas.codes import SEPARATOR
from schemas.embeddings import CODES_FILE, EMBEDDING, KIND
from schemas.icd_chapters import CHAPTERS, OTHER, chapter_of
from schemas.manifest import Manifest, read_manifest
from schemas.parquet import open_named_parquet
from schemas.small_cells import publishable, published_in_words

TEMPLATE = "embeddings.html.j2"
MOST_COMPARED = 4_000
"""Codes whose nearest neighbour is looked for, drawn at random."""


@dataclass(frozen=True)
class Codes:
    """N codes. vectors: (N, H) float32; chapters: (N,) places in CHAPTERS, or its length for none."""

    tokens: tuple[str, ...]
    vectors: np.ndarray
    chapters: np.ndarray


@dataclass(frozen=True)
class Kinship:
    """Share of the codes whose nearest other code is of the same chapter, and what chance would give."""

    share: float
    by_chance: float
    compared: int


def render_embeddings(uri: str) -> str:
    """The page of an embeddings folder, as HTML. Raises ContractError."""
    manifest = read_manifest(uri, KIND)
    codes = read_codes(uri, manifest)
    places, explained = principal_plane(codes.vectors)
    counts = Counter(codes.chapters.tolist())
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            manifest=manifest,
            tiles=_tiles(manifest, codes, kinship(codes)),
            picture=_scatter(codes, places, explained),
            chapters=[
                (_name(chapter), _colour(chapter), counts[chapter])
                for chapter in sorted(counts, key=lambda chapter: -counts[chapter])
            ],
        )
    )


def read_codes(uri: str, manifest: Manifest) -> Codes:
    """The codes of the folder, special tokens left out. Raises ContractError."""
    table = open_named_parquet(uri, manifest, CODES_FILE).read()
    tokens = table["token"].to_pylist()
    vectors = table[EMBEDDING].combine_chunks().flatten().to_numpy().reshape(len(tokens), -1)
    rows = [row for row, token in enumerate(tokens) if SEPARATOR in token]
    places = {name: number for number, name in enumerate(CHAPTERS)} | {OTHER: len(CHAPTERS)}
    chapters = np.asarray([places[chapter_of(tokens[row])] for row in rows], np.int64)
    return Codes(tuple(tokens[row] for row in rows), vectors[rows], chapters)


def principal_plane(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) places in the plane of the two directions of most variance, and (2,) their shares of it."""
    if not len(vectors):
        return np.zeros((0, 2)), np.zeros(2)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    values, directions = np.linalg.eigh(centred.T @ centred)
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])  # same signs every time
    total = values.sum()
    return centred @ axes, values[::-1][:2] / total if total else np.zeros(2)


def kinship(codes: Codes) -> Kinship | None:
    """None with fewer than two codes of a chapter. Nearest is by cosine."""
    known = codes.chapters < len(CHAPTERS)
    vectors, chapters = codes.vectors[known].astype(np.float32), codes.chapters[known]
    if len(vectors) < 2:
        return None
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    chosen = np.sort(np.random.default_rng(0).permutation(len(unit))[:MOST_COMPARED])
    nearest = np.empty(len(chosen), np.int64)
    for start in range(0, len(chosen), 512):
        part = chosen[start : start + 512]
        likeness = unit[part] @ unit.T
        likeness[np.arange(len(part)), part] = -np.inf
        nearest[start : start + 512] = likeness.argmax(axis=1)
    of_chapter = np.bincount(chapters, minlength=len(CHAPTERS))
    chance = (of_chapter[chapters[chosen]] - 1) / (len(chapters) - 1)
    share = float((chapters[nearest] == chapters[chosen]).mean())
    return Kinship(share, float(chance.mean()), len(chosen))


def _tiles(manifest: Manifest, codes: Codes, kin: Kinship | None) -> list[dict[str, Any]]:
    patients = manifest.counts["patients"]
    tiles = [
        {
            "label": "codes",
            "value": numbers.count(len(codes.tokens)),
            "note": f"{manifest.details['hidden_size']} numbers each",
        },
        {
            "label": "patients",
            "value": published_in_words(publishable(patients, patients)),
            "note": f"{manifest.parameters['pooling']} of the encoder's output",
        },
    ]
    if kin is not None:
        note = f"by chance {numbers.percentage(kin.by_chance)}; of {numbers.count(kin.compared)} codes"
        tiles.append(
            {
                "label": "nearest code of the same chapter",
                "value": numbers.percentage(kin.share),
                "note": note,
            }
        )
    return tiles


def _scatter(codes: Codes, places: np.ndarray, explained: np.ndarray) -> Picture:
    with picture(7.2, 5.4) as figure:
        axes = figure.add_subplot()
        order = np.random.default_rng(0).permutation(len(places))  # no chapter covers another
        axes.scatter(
            *places[order].T,
            s=9 if len(places) < 5_000 else 3,
            c=[_colour(chapter) for chapter in codes.chapters[order]],
            alpha=0.75,
            linewidths=0,
            rasterized=True,
        )
        axes.set_xlabel(f"first direction, {numbers.percentage(float(explained[0]))} of the variance")
        axes.set_ylabel(f"second direction, {numbers.percentage(float(explained[1]))}")
        axes.set_xticks([])
        axes.set_yticks([])
        figure.set_dpi(160)
        alt = f"Vectors of {len(places)} codes in the plane of most variance, coloured by ICD chapter."
        svg = inline(figure, "plane", alt)
    caption = (
        "A point a code: the row of the embedding table, projected on the two directions in which the codes "
        "differ most (principal components). Colours are ICD chapters; a plane shows only part of what keeps "
        "them apart."
    )
    return Picture("Codes by chapter", svg, caption)


def _name(chapter: int) -> str:
    return CHAPTERS[chapter] if chapter < len(CHAPTERS) else OTHER


def _colour(chapter: int) -> str:
    """Hues far apart for chapters beside each other; of middling lightness, for light and dark pages."""
    if chapter >= len(CHAPTERS):
        return "#8a8a8a"
    hue = chapter * 0.381966 % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, (0.42, 0.56)[chapter % 2], 0.62)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
