import json

import pytest

from conversion.report import write_report


def test_a_report_that_is_written_anew_is_never_half_a_report(tmp_path, kill_writes):
    write_report(str(tmp_path), {"verification": {"passed": True}})
    kill_writes("conversion_report.json")
    with pytest.raises(KeyboardInterrupt):
        write_report(str(tmp_path), {"verification": {"passed": False}})
    assert json.loads((tmp_path / "conversion_report.json").read_text()) == {"verification": {"passed": True}}
