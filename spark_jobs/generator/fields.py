"""Checked access to the fields of a YAML mapping; every complaint names the file, the field and the rule."""

from __future__ import annotations

from typing import Any

from schemas.codes import normalise_code
from schemas.errors import ContractError
from spark_jobs.generator.model import Spread

_LARGEST = 1e15
"""Numbers are below it: infinity and what is not a number are not, either."""


class Fields:
    """One mapping of a YAML file. Remembers which keys were read, so that a misspelt one is refused."""

    def __init__(self, plain: Any, where: str, path: str = "") -> None:
        self._where, self._path = where, path
        self._read: set[str] = set()
        if not isinstance(plain, dict):
            raise self.error("", "is not a mapping of names to values", "this part of the file is one")
        self._plain = plain

    def error(self, key: str, found: str, rule: str) -> ContractError:
        place = ".".join(part for part in (self._path, key) if part)
        return ContractError(
            f"{self._where}: {place or 'the file'} {found}", rule, f"mend it in {self._where}"
        )

    def require(self, holds: bool, key: str, found: str, rule: str) -> None:
        if not holds:
            raise self.error(key, found, rule)

    def refuse_unknown(self) -> None:
        """Call when all fields were read."""
        for key in sorted(map(str, self._plain.keys() - self._read)):
            raise self.error(key, "is not known here", f"the fields are {', '.join(sorted(self._read))}")

    @property
    def names(self) -> list[str]:
        """The keys, in the file's order; reading them counts as knowing them."""
        self._read |= self._plain.keys()
        return list(self._plain)

    def has(self, key: str) -> bool:
        self._read.add(key)
        return key in self._plain

    def _get(self, key: str) -> Any:
        self.require(self.has(key), key, "is missing", "the field is needed")
        return self._plain[key]

    def is_section(self, key: str) -> bool:
        return isinstance(self._get(key), dict)

    def section(self, key: str) -> Fields:
        return Fields(self._get(key), self._where, ".".join(part for part in (self._path, key) if part))

    def sections(self, key: str) -> list[Fields]:
        """A list of mappings; none when the field is absent."""
        if not self.has(key):
            return []
        entries = self._get(key)
        self.require(isinstance(entries, list), key, f"is {entries!r}", "it is a list")
        return [Fields(entry, self._where, f"{self._path}.{key}[{n}]") for n, entry in enumerate(entries)]

    def text(self, key: str) -> str:
        value = self._get(key)
        self.require(isinstance(value, str) and bool(value), key, f"is {value!r}", "it is a text")
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; none when the field is absent."""
        if not self.has(key):
            return ()
        values = self._get(key)
        good = isinstance(values, list) and all(isinstance(value, str) for value in values)
        self.require(good, key, f"is {values!r}", "it is a list of names")
        return tuple(values)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self._get(key)
        self.require(value in choices, key, f"is {value!r}", f"it is {' or '.join(choices)}")
        return str(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self._get(key) if self.has(key) else default
        self.require(isinstance(value, bool), key, f"is {value!r}", "it is true or false")
        return bool(value)

    def number(self, key: str, *, at_least: float | None = None, above: float | None = None) -> float:
        return self._number(self._get(key), key, at_least, above)

    def _number(
        self, value: Any, key: str, at_least: float | None = None, above: float | None = None
    ) -> float:
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        self.require(good and abs(value) < _LARGEST, key, f"is {repr(value)[:40]}", "it is a number")
        self.require(at_least is None or value >= at_least, key, f"is {value}", f"it is at least {at_least}")
        self.require(above is None or value > above, key, f"is {value}", f"it is above {above}")
        return float(value)

    def probability(self, key: str) -> float:
        value = self._number(self._get(key), key)
        self.require(0 <= value <= 1, key, f"is {value:g}", "it is a probability, from 0 to 1")
        return value

    def numbers(
        self, key: str, *, length: int | None = None, at_least: float | None = None, rising: bool = False
    ) -> tuple[float, ...]:
        values = self._get(key)
        self.require(isinstance(values, list), key, f"is {values!r}", "it is a list of numbers")
        numbers = tuple(self._number(value, key, at_least) for value in values)
        self.require(
            length is None or len(numbers) == length, key, f"has {len(numbers)} numbers", f"it has {length}"
        )
        if rising:
            good = len(numbers) > 1 and numbers[0] == 0 and list(numbers) == sorted(set(numbers))
            self.require(good, key, f"is {values}", "it starts at 0 and rises")
        return numbers

    def spread(self, key: str) -> Spread:
        median, p90 = self.numbers(key, length=2)
        self.require(0 < median < p90, key, f"is [{median:g}, {p90:g}]", "it is [median, 90th percentile]")
        return Spread(median, p90)

    def codes(self, key: str, system: str) -> tuple[str, ...]:
        """A list of at least one code of a code system, undotted."""
        values = self._get(key)
        self.require(
            isinstance(values, list) and bool(values), key, "lists no code", "it lists at least one code"
        )
        for value in values:
            self.require(isinstance(value, str), key, f"has {value!r}", "a code is a text: put it in quotes")
            try:
                normalise_code(system, value)
            except ValueError as error:
                raise self.error(key, f"has {value!r}", str(error)) from error
        undotted = tuple(value.replace(".", "") for value in values)
        self.require(len(set(undotted)) == len(undotted), key, "lists a code twice", "a code stands once")
        return undotted
