"""Looking for millions of patients' ids in a model folder: in its texts, and among its weights' bytes."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")
SHORTEST_ID = 5
SHORTEST_NUMBER = 7
"""Letters and digits. Shorter ids can't be told from sizes and codes, of which every model folder is full."""
SHORTEST_AMONG_BYTES = 7
"""Characters. Chance writes one number of seven digits or so in 4 GB of weights, of shorter ones many."""
_PRINTABLE = re.compile(rb"[ -~]{%d,}" % SHORTEST_AMONG_BYTES)


class IdsInTexts:
    """Texts by the runs of words in them, a word being letters and digits of any script.

    An id stands in a text that has its words in its order: `MRN:0012 345` also where the text says
    `mrn_MRN-0012-345.csv`, but `12345678` not in `a12345678`, for fingerprints have many a number within.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = [_WORD.findall(text) for text in texts]
        self._runs: dict[int, set[str]] = {}  # number of words → all runs of so many

    def found(self, patient_id: str) -> bool | None:
        """None for an id that is too short to be looked for, or has no letter or digit."""
        words = _WORD.findall(patient_id)
        letters = "".join(words)
        if len(letters) < (SHORTEST_NUMBER if letters.isdigit() else SHORTEST_ID):
            return None
        return " ".join(words) in self._runs_of(len(words))

    def _runs_of(self, num_words: int) -> set[str]:
        if num_words not in self._runs:
            self._runs[num_words] = {
                " ".join(words[first : first + num_words])
                for words in self._texts
                for first in range(len(words) - num_words + 1)
            }
        return self._runs[num_words]


class IdsAmongBytes:
    """A file's bytes from `start` on, by the runs of printable ASCII among them; there are few in weights.

    An id is found as it is written, whatever stands beside it: what a buffer held before is no text.
    """

    def __init__(self, path: str, start: int) -> None:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = _PRINTABLE.finditer(content, start)
            self._runs = {run.group().decode("ascii") for run in found}
        self._pieces: dict[int, set[str]] = {}  # length → all pieces of that length

    def found(self, patient_id: str) -> bool | None:
        """None for an id that can't be looked for: too short, or not in printable ASCII."""
        length = len(patient_id)
        if length < SHORTEST_AMONG_BYTES or not (patient_id.isascii() and patient_id.isprintable()):
            return None
        if length not in self._pieces:
            self._pieces[length] = {
                run[first : first + length] for run in self._runs for first in range(len(run) - length + 1)
            }
        return patient_id in self._pieces[length]
