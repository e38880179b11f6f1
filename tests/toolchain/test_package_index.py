"""pip's configuration reaches uv as pip itself understands it."""

import os
import re
import subprocess
import sys

import pytest


@pytest.fixture
def package_index(toolchain):
    return toolchain("package_index")


@pytest.fixture
def configured(package_index, tmp_path, monkeypatch):
    """configured(text, **environment): the settings that pip itself reads from such a file and variables."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)

    def settings(text: str, **environment: str) -> dict[str, str]:
        (tmp_path / "pip.conf").write_text(text)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return package_index.pip_settings(sys.executable)

    return settings


def test_settings_of_every_form(configured):
    settings = configured(
        "[global]\nindex-url = https://a.example/simple\nfind-links =\n    /one\n    /two\n"
        "extra-index-url = https://b.example https://it's.example\n[list]\nformat = json\n"
    )
    assert settings["index-url"] == "https://a.example/simple"
    assert settings["find-links"] == "/one /two"
    assert settings["extra-index-url"] == "https://b.example https://it's.example"
    assert "format" not in settings


def test_the_environment_comes_before_pip_install_and_that_before_all_commands(configured):
    text = "[install]\nindex-url = https://install.example\n[global]\nindex-url = https://global.example\n"
    assert configured(text)["index-url"] == "https://install.example"
    assert configured(text, PIP_INDEX_URL="https://mine.example")["index-url"] == "https://mine.example"


def test_without_pip_there_are_no_settings(package_index, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named pip' >&2; exit 1\n")
    python.chmod(0o755)
    assert package_index.pip_settings(str(python)) == {}


def test_settings_become_uv_s_variables(package_index):
    settings = {
        "index-url": "https://a.example",
        "extra-index-url": "https://b.example https://c.example",
        "find-links": "/one /two",
        "trusted-host": "a.example b.example",
        "cert": "/site.pem",
        "client-cert": "/me.pem",
        "proxy": "http://proxy.example:3128",
    }
    wanted = {
        "UV_DEFAULT_INDEX": "https://a.example",
        "UV_INDEX": "https://b.example https://c.example",
        "UV_FIND_LINKS": "/one,/two",
        "UV_INSECURE_HOST": "a.example b.example",
        "SSL_CERT_FILE": "/site.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "ALL_PROXY": "http://proxy.example:3128",
    }
    assert package_index.uv_environment(settings, {}).items() >= wanted.items()
    assert not wanted.keys() & package_index.uv_environment(settings, dict.fromkeys(wanted, "mine")).keys()


def test_what_is_not_set_is_not_handed_on(package_index):
    assert (
        not {"UV_DEFAULT_INDEX", "UV_FIND_LINKS", "SSL_CERT_FILE"}
        & package_index.uv_environment({}, {}).keys()
    )


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_only_pip_s_libraries_know(package_index, name):
    assert package_index.uv_environment({}, {name: "/site.pem"})["SSL_CERT_FILE"] == "/site.pem"
    assert (
        package_index.uv_environment({"cert": "/own.pem"}, {name: "/site.pem"})["SSL_CERT_FILE"] == "/own.pem"
    )


TAG = "cp{}{}".format(*sys.version_info[:2])
MACHINE = os.uname().machine


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (f"torch-2.0.1+cpu-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl", True),
        (f"torch-2.0.1-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl", False),  # PyPI's own
        (f"torch-2.0.10+cpu-{TAG}-{TAG}-linux_{MACHINE}.whl", False),
        (f"torch-2.0.1+cpu-cp38-cp38-linux_{MACHINE}.whl", False),
        (f"torch-2.0.1+cpu-{TAG}-{TAG}-linux_vax.whl", False),
        (f"torchvision-2.0.1+cpu-{TAG}-{TAG}-linux_{MACHINE}.whl", False),
    ],
)
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_folder_with_the_site_s_own_torch(package_index, tmp_path, name, found, prefix):
    folder = tmp_path / "wheels[1]"
    folder.mkdir()
    (folder / name).touch()
    settings = {"find-links": f"https://links.example/all.html {prefix}{folder}"}
    assert package_index.folder_with_torch(settings, "2.0.1") == (str(folder) if found else None)


def test_torch_comes_from_a_folder_an_index_or_a_backend(package_index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheels").mkdir()
    assert package_index.torch_options("wheels") == ["--find-links", str(tmp_path / "wheels")]
    assert package_index.torch_options("https://t.example/cpu") == ["--index", "https://t.example/cpu"]
    assert package_index.torch_options("cpu") == ["--torch-backend", "cpu"]


def test_uv_knows_the_variables(package_index):
    """A variable that uv renamed would be ignored without a word."""
    uv = os.path.join(os.path.dirname(sys.executable), "uv")
    if not os.path.exists(uv):
        pytest.skip(f"uv is not beside this Python: {uv}")
    text = subprocess.run([uv, "pip", "install", "--help"], capture_output=True, text=True, check=True).stdout
    text = " ".join(text.split())
    names = (
        "UV_DEFAULT_INDEX",
        "UV_INDEX",
        "UV_FIND_LINKS",
        "UV_INSECURE_HOST",
        "UV_INDEX_STRATEGY",
        "UV_NO_CONFIG",
    )
    assert [name for name in names if not re.search(rf"\[env: {name}[=\]]", text)] == []
