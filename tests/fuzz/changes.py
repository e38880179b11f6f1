"""Small files changed as disks, editors and people change them, by seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import yaml

from tests.mutated_bytes import MUTATIONS

Change = Callable[[random.Random, bytes], bytes]

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 0.5, 10**30, -(2**63) - 1, 2**31, 1e308, float("inf"), float("nan")),
    *("", " ", "nan", "0", "x", "x" * 300, "é", "İ", "\ud800", "a\nb", "\0", "\u2028", "..", "/etc/passwd"),
    *([], {}, [None], [[1]], {"a": 1}, ["x", "x"], {"": ""}),
)
_LINES = ("", " ", "#", "x", "é", "\ufeff", "\0", "[", "{", "'", '"', "9" * 5000, "- x", "a: b", "? x", "\t")


def change_bytes(chance: random.Random, content: bytes) -> bytes:
    """As tests.mutated_bytes does, once or a few times."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if content:
            content = chance.choice(MUTATIONS)(chance, content)
    return content


def change_lines(chance: random.Random, content: bytes) -> bytes:
    """A line less, twice, elsewhere, or another one."""
    lines = content.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(7)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = chance.choice(_LINES).encode()
    elif kind == 4:
        lines = lines[:at]
    elif kind == 5:
        words = lines[at].split(b" ")
        words[chance.randrange(len(words))] = chance.choice((*_LINES, *map(repr, NASTY))).encode(
            errors="surrogatepass"
        )
        lines[at] = b" ".join(words)
    else:
        lines[at] += chance.choice(_LINES).encode()
    return b"\n".join(lines)


def change_encoding(chance: random.Random, content: bytes) -> bytes:
    """The same text in other bytes; some of them mean the same."""
    text = content.decode(errors="replace")
    kind = chance.randrange(6)
    if kind == 0:
        return ("é" + text if chance.random() < 0.5 else text + "# é").encode("latin-1", "replace")
    if kind == 1:
        return text.encode(chance.choice(("utf-16", "utf-16-le", "utf-32")))
    if kind == 2:
        return b"\xef\xbb\xbf" + content
    if kind == 3:
        return content.replace(b"\n", b"\r\n")
    if kind == 4:
        return content.replace(b"\n", b"\r")
    return chance.choice((b"", b"\n", b"\0", b" ", b"[" * 20_000, b'{"a":' * 20_000, b"null", b"[]", b"{}"))


def change_tree(chance: random.Random, tree: Any) -> Any:
    """One value of nested lists and dictionaries less, twice, elsewhere, deeper or of another type."""
    places: list[tuple[Any, Any]] = []
    _gather(tree, places)
    if not places:
        return chance.choice(NASTY)
    holder, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = chance.choice(NASTY)
    elif kind == 2:
        other, its_key = chance.choice(places)
        holder[key] = copy.deepcopy(other[its_key])
    elif kind == 3:
        holder[key] = [holder[key]] if chance.random() < 0.5 else {"x": holder[key]}
    elif kind == 4 and isinstance(holder, dict):
        holder[chance.choice(("x", f"{key}x", f"{key} ", str(key).upper(), "", "__class__", "self", "0"))] = (
            holder.pop(key) if chance.random() < 0.5 else chance.choice(NASTY)
        )
    elif isinstance(holder, list):
        holder.insert(key, chance.choice((holder[key], chance.choice(NASTY))))
    elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = chance.choice((-holder[key], holder[key] + 1, float(holder[key]), str(holder[key])))
    else:
        holder[key] = chance.choice(NASTY)
    return tree


def _gather(tree: Any, places: list[tuple[Any, Any]]) -> None:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        places.append((tree, key))
        _gather(tree[key], places)


def change_json(chance: random.Random, content: bytes) -> bytes:
    return json.dumps(change_tree(chance, json.loads(content)), indent=chance.choice((None, 2))).encode()


def change_json_line(chance: random.Random, content: bytes) -> bytes:
    """One line of a file with a JSON object a line."""
    lines = content.split(b"\n")
    at = chance.randrange(len(lines) - 1)
    lines[at] = json.dumps(change_tree(chance, json.loads(lines[at]))).encode()
    return b"\n".join(lines)


def change_yaml(chance: random.Random, content: bytes) -> bytes:
    tree = change_tree(chance, yaml.safe_load(content))
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(errors="surrogatepass")


TEXT: tuple[Change, ...] = (change_bytes, change_lines, change_lines, change_encoding)
BINARY: tuple[Change, ...] = (change_bytes,)
JSON: tuple[Change, ...] = (*TEXT, change_json, change_json, change_json)
JSON_LINES: tuple[Change, ...] = (*TEXT, change_json_line, change_json_line, change_json_line)
YAML: tuple[Change, ...] = (*TEXT, change_yaml, change_yaml, change_yaml)
