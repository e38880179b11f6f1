"""Codes as sources write them, well and badly, for property tests."""

from hypothesis import strategies as st

# Mostly of one system's form, or nearly.
_NEAR = st.tuples(
    st.sampled_from("01289EVAZev"), st.text("0123456789", min_size=1, max_size=4), st.text("0.Aa", max_size=2)
).map("".join)
_WITH_DOTS = st.text("0123456789EVAZevaz..", max_size=9)
_BLANKS = st.text([c for c in map(chr, range(0x3001)) if c.isspace()], max_size=3)
# Digits and letters of other scripts, case pairs of two letters, control characters, line breaks.
_ODD = st.text(
    st.one_of(st.characters(), st.sampled_from("0E.\x00\x85\u2028\u0131\u017f\u0661\uff21\ufb01\xdf")),
    max_size=7,
)

raw_codes = st.tuples(_BLANKS, st.one_of(_NEAR, _NEAR.map(str.upper), _WITH_DOTS, _ODD), _BLANKS).map("".join)
