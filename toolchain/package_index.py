"""Where packages come from: pip's own configuration, handed on to uv.

uv does not read pip's configuration, and many sites have their index, their certificates or a folder of
wheels only there. What the user has set for uv itself (UV_...) wins.
"""

from __future__ import annotations

import ast
import glob
import os
import subprocess
import sys
from collections.abc import Mapping

PYPI = "pypi"
# Of pip's configuration, the last one wins.
SECTIONS = ("global", "install", ":env:")


def pip_settings(python: str) -> dict[str, str]:
    """pip's settings (files and environment) by name, e.g. {"index-url": "https://..."}."""
    done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True)
    return read_settings(done.stdout)


def read_settings(text: str) -> dict[str, str]:
    """The output of `pip config list`, whose lines are like global.index-url='https://...'.

    Of the same setting in several places the one counts that pip takes: the environment's (:env:), then that
    of `pip install`, then that of all commands. A value of several lines becomes one of words.
    """
    settings = {}
    for section in SECTIONS:
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                settings[name.removeprefix(f"{section}.")] = " ".join(ast.literal_eval(value).split())
    return settings


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make uv look where pip would, beside those of the environment.

    settings: see pip_settings.
    """
    wanted = {
        "UV_DEFAULT_INDEX": settings.get("index-url"),
        "UV_INDEX": settings.get("extra-index-url"),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_INSECURE_HOST": settings.get("trusted-host"),
        # pip's two other variables for certificates are those of the libraries that it is made of.
        "SSL_CERT_FILE": settings.get("cert")
        or environment.get("REQUESTS_CA_BUNDLE")
        or environment.get("CURL_CA_BUNDLE"),
        "SSL_CLIENT_CERT": settings.get("client-cert"),
        "ALL_PROXY": settings.get("proxy"),
        # As pip does, look at all indexes for the locked version. Its hash is in the lock.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_TIMEOUT": "180",
        "UV_NO_CONFIG": "1",
    }
    return {name: value for name, value in wanted.items() if value and name not in environment}


def folder_with_torch(settings: Mapping[str, str], version: str) -> str | None:
    """The folder of pip's find-links with a build of torch of its own (2.13.0+cpu), if there is one.

    Such a folder is how a site gives its machines the build that they should use.
    """
    tag = "cp{}{}".format(*sys.version_info[:2])
    for folder in settings.get("find-links", "").split():
        folder = folder.removeprefix("file://")
        names = glob.glob(os.path.join(glob.escape(folder), f"torch-{version}+*-{tag}-*.whl"))
        if any(os.uname().machine in name for name in names):
            return folder
    return None


def torch_options(torch_index: str) -> list[str]:
    """uv's options for a value of TORCH_INDEX: a folder of wheels, the address of an index, or a name that uv
    knows as a backend of torch (cpu, cu128, auto).
    """
    if os.path.isdir(torch_index):
        return ["--find-links", os.path.abspath(torch_index)]
    if "/" in torch_index:
        return ["--index", torch_index]
    return ["--torch-backend", torch_index]
