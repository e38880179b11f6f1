"""The page in a real browser, where there is one: it does not scroll sideways, every picture has a size."""

import html
import re
import shutil
import subprocess

import pytest

from reports.drift import DriftLimits, compare
from reports.page import render
from reports.profile_page import render_profile
from reports.training_page import render_training
from schemas.manifest import Manifest
from tests.reports.profiles import a_profile, without_months

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
# A browser's window has a least width, a frame has none.
FRAME = """<!doctype html><body>
<iframe style="border: 0" width="{width}" height="900" srcdoc="{page}"></iframe>
<script>
document.querySelector("iframe").onload = event => {{
  const page = event.target.contentDocument;
  const heights = [...page.querySelectorAll("figure svg")].map(picture => picture.clientHeight);
  const measured = [page.documentElement.scrollWidth, heights.length, Math.min(...heights)];
  document.body.dataset.measured = measured.join(" ");
}};
</script>
</body>"""


@pytest.fixture(params=["run", "training", "profile"])
def page(request, whole_run) -> tuple[str, int]:
    """A page, and how many pictures it has."""
    if request.param == "run":
        return render(whole_run.uri), 13
    if request.param == "training":
        return render_training(f"{whole_run.uri}/pretrain"), 12
    made = without_months(a_profile(), "2015-03")
    drift = compare(made, a_profile(), DriftLimits())
    return render_profile(made, Manifest("profile"), a_profile(), drift), 5


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on this machine")
@pytest.mark.parametrize("width", [420, 1240])
def test_page_fits_its_window(page, tmp_path, width):
    content, num_pictures = page
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, page=html.escape(content)), encoding="utf-8")
    command = [BROWSER, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", frame.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr[-2000:]
    measured = re.search(r'data-measured="([^"]*)"', found.stdout)
    assert measured, found.stderr[-2000:]
    scroll_width, pictures, height = map(int, measured[1].split())
    assert scroll_width <= width
    assert pictures == num_pictures
    assert height > 100
