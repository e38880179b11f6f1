"""A second command of the converter with the output of one that runs."""

import os

import pytest

from conversion.convert import ConvertConfig, convert
from conversion.embed import EmbedConfig, embed
from conversion.export_onnx import ExportOnnxConfig, export_onnx
from conversion.extend_vocabulary import ExtendConfig, extend_vocabulary
from conversion.model_folder import open_model
from conversion.release.release_check import ReleaseConfig, release_check
from conversion.shrink_vocabulary import ShrinkConfig, shrink
from conversion.to_tensorflow import ToTensorflowConfig, to_tensorflow
from conversion.verify_folder import VerifyConfig, verify_folder
from schemas.lease import FolderInUse, hold
from schemas.manifest import read_manifest


@pytest.fixture
def vocabulary(write_vocabulary, published_model):
    return write_vocabulary("own", dict.fromkeys(open_model(published_model).codes, 11))


@pytest.mark.parametrize(
    "command",
    [convert, embed, export_onnx, extend_vocabulary, shrink, to_tensorflow, verify_folder, release_check],
)
def test_the_second_is_refused(command, published_model, vocabulary, write_sequences, tmp_path, request):
    model, output = published_model, str(tmp_path / "output")
    if command is embed:
        of = read_manifest(vocabulary, "vocabulary").fingerprint
        sequences = write_sequences({"train": {"p": ([4, 5], [1, 1])}}, of)
        config = EmbedConfig(
            model=model, patients=sequences, vocabulary=vocabulary, output=output, splits=["train"]
        )
    elif command is convert:
        config = ConvertConfig(checkpoint="none", output=output)
    elif command is verify_folder:
        config = VerifyConfig(checkpoint="none", model=model)
    elif command is release_check:
        config = ReleaseConfig(model=model, vocabulary="none", sequences="none", shards="none")
    elif command is extend_vocabulary:
        config = ExtendConfig(model=model, vocabulary=vocabulary, output=output)
    elif command is shrink:
        config = ShrinkConfig(model=model, vocabulary=vocabulary, output=output, min_patients=11)
    else:
        options = {export_onnx: ExportOnnxConfig, to_tensorflow: ToTensorflowConfig}[command]
        config = options(model=model, output=output)
    written = getattr(config, "output", model)
    with hold(written):
        before = sorted(os.listdir(written))
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on"):
            command(config)
        assert sorted(os.listdir(written)) == before
