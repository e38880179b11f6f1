"""The page in a real browser, where there is one: it does not scroll sideways, every picture has a size."""

import re
import shutil
import subprocess

import pytest

from reports.page import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--dump-dom",
]
MEASURE = """<script>
const heights = [...document.querySelectorAll("figure svg")].map(picture => picture.clientHeight);
const measured = [innerWidth, document.documentElement.scrollWidth, heights.length, Math.min(...heights)];
document.body.dataset.measured = measured.join(" ");
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on this machine")
@pytest.mark.parametrize("width", [420, 1240])
def test_page_fits_its_window(whole_run, tmp_path, width):
    page = tmp_path / "page.html"
    page.write_text(render(whole_run.uri).replace("</body>", MEASURE), encoding="utf-8")
    window = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    command = [BROWSER, *OPTIONS, *window, page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr[-2000:]
    measured = re.search(r'data-measured="([^"]*)"', found.stdout)
    assert measured, found.stderr[-2000:]
    inner, scroll, pictures, height = map(float, measured[1].split())
    assert inner == width
    assert scroll <= inner
    assert pictures == 13
    assert height > 100
