import pytest

from schemas.errors import ContractError
from schemas.learned_codes import LEARNED_CODES_FILE, LearnedCodes, read_learned_codes


def test_round_trip(tmp_path):
    assert read_learned_codes(str(tmp_path)) is None
    codes = LearnedCodes(3, (), ())
    (tmp_path / LEARNED_CODES_FILE).write_text(codes.to_json())
    assert read_learned_codes(str(tmp_path)) == codes


@pytest.mark.parametrize("content", [b"", b'{"step": 3, "conf', b"[]", b"{}", b"\xff"])
def test_half_a_file_is_refused(tmp_path, content):
    (tmp_path / LEARNED_CODES_FILE).write_bytes(content)
    with pytest.raises(ContractError, match=r"learned_codes\.json cannot be read.*Remedy: remove it"):
        read_learned_codes(str(tmp_path))
