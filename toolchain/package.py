"""Pack what Spark jobs import, data files included, for `spark-submit --py-files`: `make package`.

The same sources give the same bytes, whatever the clock, the umask or the order of the folder; a zip that
would come out the same is left untouched.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = ("command_line", "schemas", "spark_jobs")
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold


def source_files(root: str) -> list[str]:
    """Paths, relative to `root`, of what goes into the zip, sorted."""
    found = []
    for package in PACKAGES:
        for folder, folders, names in os.walk(os.path.join(root, package)):
            folders[:] = [name for name in folders if not name.startswith(("__pycache__", "."))]
            found += [
                os.path.relpath(os.path.join(folder, name), root)
                for name in names
                if not name.startswith(".") and not name.endswith((".pyc", "~"))
            ]
    return sorted(path.replace(os.sep, "/") for path in found)


def zip_bytes(root: str) -> bytes:
    """The zip of the packages under `root`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in source_files(root):
            entry = zipfile.ZipInfo(path, FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            with open(os.path.join(root, path), "rb") as file:
                archive.writestr(entry, file.read())
    return buffer.getvalue()


def write_if_changed(path: str, content: bytes) -> bool:
    """Write `content` to `path` atomically, unless it is there already; whether it was written."""
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == content:
                return False
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    draft = f"{path}.{os.getpid()}"
    with open(draft, "wb") as file:
        file.write(content)
    os.replace(draft, path)
    return True


def main() -> None:
    target = sys.argv[1]
    if write_if_changed(os.path.join(ROOT, target), zip_bytes(ROOT)):
        print(f"Packed {target}")


if __name__ == "__main__":
    main()
