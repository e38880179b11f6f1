"""pyspark's own zip with its modules compiled.

Spark's Python processes import pyspark from `pyspark.zip`, which has sources alone. Python keeps nothing of
what it compiles in a zip, so each process (a job has half a dozen) would compile them anew, in half a second.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import tempfile
import zipfile

COMPILED = ".pyc"
_TESTS = re.compile(r"/tests/")


def compile_modules(path: str) -> None:
    """Add to a zip the compiled form of its modules, if it has none. The zip changes whole or not at all."""
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith(COMPILED) for name in archive.namelist()):
            return
        with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
            modules, new = os.path.join(folder, "modules"), os.path.join(folder, "new.zip")
            archive.extractall(modules)
            compileall.compile_dir(
                modules,
                stripdir=modules,
                prependdir=path,
                rx=_TESTS,
                quiet=2,
                legacy=True,
                # What is in the zip counts, whatever the time stamps say.
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            shutil.copy(path, new)
            with zipfile.ZipFile(new, "a", zipfile.ZIP_DEFLATED) as made:
                for at, _, names in sorted(os.walk(modules)):
                    for name in sorted(names):
                        if name.endswith(COMPILED):
                            file = os.path.join(at, name)
                            made.write(file, os.path.relpath(file, modules))
            os.replace(new, path)
