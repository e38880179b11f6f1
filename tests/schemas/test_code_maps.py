import gzip
from collections import Counter

import pytest

from schemas.code_maps import (
    AMBIGUOUS,
    APPROXIMATE,
    CLUSTER,
    EXACT,
    FIRST,
    KEEP,
    UNMAPPED,
    parse_gem,
    resolve,
)
from schemas.errors import ContractError

# Lines of the 2018 file, in part.
GEM = """\
0010  A000    00000
0020  A0100   10000
36570 NoDx    11000
9661  T420X1A 10000
9661  T420X2A 10000
80602 S12000A 10112
80602 S12001A 10112
80602 S12100A 10122
80602 S14131A 10111
80602 S14132A 10121
24951 E0839   10000
24951 E08311  10111
24951 E0865   10112
"""


def _resolved(policy: str) -> dict[str, tuple[tuple[str, ...], str]]:
    entries = parse_gem(GEM.encode(), "ICD9CM", "ICD10CM", "gem.txt")
    found = {code: resolve(code, of_code, policy) for code, of_code in entries.items()}
    return {code.removeprefix("ICD9CM//"): (mapped.targets, mapped.outcome) for code, mapped in found.items()}


@pytest.mark.parametrize("policy", [KEEP, FIRST, CLUSTER])
def test_a_policy_is_for_ambiguous_codes_alone(policy):
    found = _resolved(policy)
    assert found["001.0"] == (("ICD10CM//A00.0",), EXACT)
    assert found["002.0"] == (("ICD10CM//A01.00",), APPROXIMATE)
    assert found["365.70"] == (("ICD9CM//365.70",), UNMAPPED)
    assert {code for code, (_, outcome) in found.items() if outcome == AMBIGUOUS} == {
        "966.1",
        "806.02",
        "249.51",
    }


def test_keep_leaves_an_ambiguous_code():
    found = _resolved(KEEP)
    for code in ("966.1", "806.02", "249.51"):
        assert found[code][0] == (f"ICD9CM//{code}",)


def test_first_takes_the_first_target():
    found = _resolved(FIRST)
    assert found["966.1"][0] == ("ICD10CM//T42.0X1A",)
    assert found["806.02"][0] == ("ICD10CM//S12.000A",)


def test_a_cluster_has_one_target_of_each_choice_list_of_the_first_scenario():
    found = _resolved(CLUSTER)
    assert found["806.02"][0] == ("ICD10CM//S14.131A", "ICD10CM//S12.000A")
    # An alternative beside a cluster is no part of it, and alternatives alone are no cluster.
    assert found["249.51"][0] == ("ICD10CM//E08.311", "ICD10CM//E08.65")
    assert found["966.1"][0] == ("ICD10CM//T42.0X1A",)


def test_gzipped_is_the_same():
    plain, packed = (
        parse_gem(content, "ICD9CM", "ICD10CM", "gem")
        for content in (GEM.encode(), gzip.compress(GEM.encode()))
    )
    assert plain == packed


@pytest.mark.parametrize(
    "line",
    [
        "0030 A020",
        "0030  A020    0000",
        "0030  A020    20000",
        "0030\tA020\t00000",
        "0030  A020    00000 x",
        "a,b",
    ],
)
def test_a_malformed_line_is_named(line):
    with pytest.raises(ContractError, match=r"gem\.txt, line 3: .*is not a line of a GEM"):
        parse_gem(f"0010  A000    00000\n\n{line}\n".encode(), "ICD9CM", "ICD10CM", "gem.txt")


def test_a_code_of_another_system_is_named():
    with pytest.raises(ContractError, match=r"line 2: .*form of ICD9CM.*--from_system"):
        parse_gem(b"0010  A000    00000\nA000    0010  00000\n", "ICD9CM", "ICD10CM", "gem.txt")


@pytest.mark.parametrize("content", [b"", b"\n", b"\x1f\x8bno gzip", "0010  Ä000    00000".encode()])
def test_not_a_gem_at_all(content):
    with pytest.raises(ContractError):
        parse_gem(content, "ICD9CM", "ICD10CM", "gem.txt")


@pytest.mark.parametrize(
    ("name", "systems", "codes"),
    [("2018_I9gem", ("ICD9CM", "ICD10CM"), 14_567), ("2018_I10gem", ("ICD10CM", "ICD9CM"), 71_704)],
)
def test_the_files_of_cms(shared, name, systems, codes):
    with open(f"{shared}/data/code_maps/{name}.txt.gz", "rb") as file:
        entries = parse_gem(file.read(), *systems, name)
    assert len(entries) == codes
    for policy in (KEEP, FIRST, CLUSTER):
        resolved = [resolve(code, found, policy) for code, found in entries.items()]
        assert all(mapped.targets for mapped in resolved)
    outcomes = Counter(mapped.outcome for mapped in resolved)
    if name == "2018_I9gem":
        assert outcomes == {EXACT: 3521, APPROXIMATE: 7244, AMBIGUOUS: 3380, UNMAPPED: 422}
