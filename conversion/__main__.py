"""`python -m conversion convert | verify | to-tensorflow | …`: the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser

from command_line.outermost import OK
from command_line.subcommands import Command, make_parser, run_command
from conversion.convert import ConvertConfig, convert
from conversion.embed import EmbedConfig, embed
from conversion.export_onnx import ExportOnnxConfig, export_onnx
from conversion.extend_vocabulary import ExtendConfig, extend_vocabulary
from conversion.proof.forward import ForwardConfig, run_forward
from conversion.release.release_check import ReleaseConfig, release_check
from conversion.shrink_vocabulary import ShrinkConfig, shrink
from conversion.to_tensorflow import ToTensorflowConfig, to_tensorflow
from conversion.verify_folder import VerifyConfig, verify_folder

# The options' name `config` is bert_config.json's here, so that no YAML preset can be given under that name.
COMMANDS = {
    "convert": Command(ConvertConfig, convert, "convert a checkpoint to a model folder, and prove it equal"),
    "verify": Command(VerifyConfig, verify_folder, "compare a model folder with a checkpoint"),
    "to-tensorflow": Command(
        ToTensorflowConfig, to_tensorflow, "write a model folder as a TensorFlow checkpoint"
    ),
    "extend-vocabulary": Command(
        ExtendConfig, extend_vocabulary, "append another database's codes to a model"
    ),
    "shrink": Command(ShrinkConfig, shrink, "drop the codes of too few patients from a model"),
    "embed": Command(EmbedConfig, embed, "write a model's vectors of patients and of codes to Parquet"),
    "export-onnx": Command(
        ExportOnnxConfig,
        export_onnx,
        "export a model's encoder for onnxruntime, and prove it equal",
    ),
    "release-check": Command(
        ReleaseConfig, release_check, "may a model be given away? Its card then says why"
    ),
    "forward": Command(ForwardConfig, run_forward, "run a model folder on stored inputs"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status, 2 for what is refused (command_line.outermost)."""
    return run_command(_parser(), COMMANDS, arguments, _print_result)


def _print_result(result: Any) -> int:
    if result is not None:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return OK


def _parser() -> ArgumentParser:
    return make_parser("conversion", "Checkpoints to transformers folders.", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
