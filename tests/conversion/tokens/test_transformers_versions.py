"""The tokenizer of a model folder opens with each version of transformers that the card names.

Old versions are installed into environments of their own, without torch. The one of this environment runs
without the net.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import transformers

from conversion.tokens.tokenizer import OPENED_WITH
from conversion.tokens.vocabulary_source import ModelVocabulary
from schemas.vocabulary import SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

HERE = os.path.dirname(os.path.abspath(__file__))
CODES = tuple(f"ICD10CM//E{number:02d}.9" for number in range(20))
# What pip says where no index answers, rather than that a package is missing there.
NO_INDEX = re.compile(
    "NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|Connection refused|Connection reset"
    "|Network is unreachable|Temporary failure in name resolution|Name or service not known"
)
# The last minor version of tokenizers that 4.40 takes has no wheels for Python 3.13.
OLDEST = pytest.param(
    OPENED_WITH[0],
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(
            sys.version_info >= (3, 13), reason=f"transformers {OPENED_WITH[0]} needs Python 3.12 or older"
        ),
    ],
)
OLD = [OLDEST, *(pytest.param(version, marks=pytest.mark.slow) for version in OPENED_WITH[1:-1])]


def opened(python, folder):
    """What open_tokenizer.py prints with that Python."""
    done = subprocess.run(
        [python, "-I", f"{HERE}/open_tokenizer.py", folder],
        env={"HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def check(write_model, variables):
    """check(python, version): the folder of a tiny model, opened with that Python, gives what it must."""

    def check(python, version):
        vocabulary = ModelVocabulary((*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS, "test")
        found = opened(python, write_model(variables, vocabulary))
        assert found.pop("version") == version
        assert found.pop("class") == ("PreTrainedTokenizerFast" if version < "5" else "TokenizersBackend")
        assert found.pop("refused").startswith("The patient has 9 visits, and the model takes at most 8.")
        assert found == {
            "text": {
                "input_ids": [7, 3, 1, 0, 8],
                "token_type_ids": [1, 1, 1, 1, 2],
                "attention_mask": [1, 1, 1, 1, 1],
            },
            "patient": {
                "input_ids": [7, 8, 7],
                "token_type_ids": [1, 2, 2],
                "attention_mask": [1, 1, 1],
            },
            "padded": {"input_ids": [[4, 5], [4, 0]], "attention_mask": [[1, 1], [1, 0]]},
            "cut": [7] * 15 + [8],
            "saved": {"input_ids": [7, 8], "token_type_ids": [1, 1], "attention_mask": [1, 1]},
            "config": ["bert", 9, "gelu_pytorch_tanh", "first"],
        }

    return check


def test_this_environment_s_version(check):
    check(sys.executable, transformers.__version__)


@pytest.mark.parametrize("version", OLD)
def test_an_older_version(check, version, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--retries", "1"]
    done = subprocess.run([*install, f"transformers=={version}"], capture_output=True, text=True)
    if done.returncode and NO_INDEX.search(done.stderr):
        pytest.skip(f"the package index is out of reach: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    check(python, version)
    shutil.rmtree(environment)  # a quarter of a gigabyte
