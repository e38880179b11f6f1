"""Rows as real tables have them gone wrong: bytes flipped, ids, dates and codes replaced by nasty ones,
columns empty, numbers that became floats, lines too short or too long.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

ID, DATE, CODE, ORDER, SYSTEM, CONCEPT = "id", "date", "code", "order", "system", "concept"
NOTHING = ["", " ", "nan", "NaN", "NULL", "None", "<NA>", "NaT", "\\N", "na", "\u3000", "UNK"]
NASTY: Mapping[str, list[str]] = {
    ID: [
        *NOTHING, "0", "-1", "00", "0.0", "-1.0", "-0.0", "007", "7.0", "7.", "7.5", ".5", "+5.0", "1e5",
        "1E5",
        "1.2E1", "1.2e-1", "1.20E+1", "1.2E+01", "1.15967E+08", "1.15967095E8", "3.1251999e+07",
        "9007199254740991.0",
        "9007199254740992.0", "9007199254740993", "Infinity", "-inf", "inf", "1.0E400", "\uff11\uff12",
        "A.1", "1.2.840",
        "p\u00a01", " p1 ", "Müller", "Mller\ufffd", "x" * 300, "{1}", "[p]", "a,b;c|d",
    ],
    DATE: [
        *NOTHING, "9999-12-31", "0001-01-01", "0000-01-01", "10000-01-01", "2016-02-30", "2015-02-29",
        "2016-2-3",
        "20160203", "2016/02/03", "2016-02-03T10:00", "2016-02-03 10:00:00.123456+01:00", "2016-02-03T24:00",
        "2016-02-03Z", "2016-02-03 10:00 UTC", " 2016-02-03 ", "03-FEB-2016", "03-feb-2016", "3-FEB-2016",
        "31-FEB-2016", "03-FEB-16", "03FEB2016", "42403", "42403.0", "2016-02-03-2016-02-03",
        "-2016-02-03", "today",
    ],
    CODE: [
        *NOTHING, "38.9", "8.45", "038.9", "E88.01", "e8801", "E880.1", "E8801", "I10X", "I10", "I10.",
        ".I10", "i 10",
        "I.10", "I10..", "E11.9.", "PAIN", "CABG", "nan.0", "250.00", "25000", "250.0", "V58.67", "v5867",
        "E0300",
        "E119XXXX", "T36.0X1A", "ICD10_I10", "_", "__", "1", "11", "0SRD0J9", "0srd0j9", "0SRDOJ9",
        "I10\u2028", "I10\u00a0",
        "\u0130I0", "\uff291\uff10", "é10", "a" * 200, "401,9",
    ],
    ORDER: [
        *NOTHING, "Y", "n", "W", "1.0", "2.5", "-3", "+4", "007", "99999999999", "2147483647", "2147483620",
        "2147483621", "-2147483649", "1e3", "1.0E3", "YY", "é", "0x1", "1,5", "Infinity", "0" * 40 + "5",
    ],
    SYSTEM: [*NOTHING, "0", "9", "9.0", "0.0", "10", "ICD-10-CM", "icd9", "I10", "i9", "x", "9.5", "09"],
    CONCEPT: [
        *NOTHING, "0", "0.0", "-1", "44829914", "44829914.0", "4.4829914E7", "44818999", "44838000",
        "44838001", "2000000000",
        "2000000001.0", "35207668", "35207668.5", "1e7", "99999999999999999999", "x",
    ],
}  # fmt: skip
# Which separate fields and lines of all our text files: a field with one is two, unless it is quoted.
_STRUCTURE = b'"\r\n'


def mutated(chance: random.Random, row: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, bytes]:
    """A row with up to three fields changed. kinds: a column's name → one of the above."""
    fields = {name: text.encode() for name, text in row.items()}
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        name = chance.choice(list(kinds))
        fields[name] = chance.choice((_nasty, _nasty, _nasty, _flipped, _as_float, _padded))(
            chance, fields[name], kinds[name]
        )
    return fields


def line_of(chance: random.Random, fields: list[bytes], separator: bytes) -> bytes:
    """Fields as a line, now and then with one too few or too many."""
    if chance.random() < 0.005:
        fields = fields[:-1] if chance.random() < 0.5 else [*fields, b"more"]
    return separator.join(fields)


def _nasty(chance: random.Random, field: bytes, kind: str) -> bytes:
    return chance.choice(NASTY[kind]).encode()


def _flipped(chance: random.Random, field: bytes, kind: str) -> bytes:
    if not field:
        return field
    at = chance.randrange(len(field))
    other = field[at] ^ (1 << chance.randrange(8))
    return field if other in _STRUCTURE else field[:at] + bytes([other]) + field[at + 1 :]


def _as_float(chance: random.Random, field: bytes, kind: str) -> bytes:
    return field + chance.choice((b".0", b".", b".5", b"E0", b".0E0", b"E+0"))


def _padded(chance: random.Random, field: bytes, kind: str) -> bytes:
    blank = chance.choice((" ", "  ", "\u00a0", "\u3000", "\x1f")).encode()
    return chance.choice((blank + field, field + blank, blank + field + blank))
