"""`python -m trainer pretrain|forward`. Under Horovod: `horovodrun -np 2 python -m trainer pretrain …`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TypeVar

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from command_line.config_file import ConfigFile, parse_options
from command_line.outermost import OK, Told, run_program
from command_line.presets import new_parser
from schemas.locations import check_locations
from trainer import forward, pretrain
from trainer.config import PretrainConfig
from trainer.core.stop import Stopped
from trainer.core.together import OtherRankFailed, RankLost
from trainer.core.world import detect_world
from trainer.exit_codes import STOPPED, USER_ERROR
from trainer.run_logging import end_progress_line, set_up_logging

LOG = logging.getLogger(__name__)
Config = TypeVar("Config")


def make_parser() -> ArgumentParser:
    """The command line: every option is a field of a configuration dataclass."""
    set_parsing_settings(config_read_mode_fsspec_enabled=True)
    parser = new_parser(prog="python -m trainer", description="Pretrain Med-BERT on shards of claims.")
    commands = parser.add_subcommands()
    for name, options, summary in (
        ("pretrain", _pretrain_options(), "train, or go on training what the output folder holds"),
        ("forward", _forward_options(), "write a checkpoint's intermediate outputs for given inputs"),
    ):
        commands.add_subcommand(name, options, help=summary)
    return parser


def _pretrain_options() -> ArgumentParser:
    parser = new_parser()
    parser.add_argument(
        "--config", action=ConfigFile, help="a YAML preset, e.g. configs/demo.yaml; options after it win"
    )
    parser.add_class_arguments(PretrainConfig, None)
    return parser


def _forward_options() -> ArgumentParser:
    parser = new_parser()
    parser.add_class_arguments(forward.ForwardConfig, None, skip={"bert_config"})
    parser.add_argument("--config", type=str | None, help="bert_config.json of a TensorFlow prefix")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code (trainer.exit_codes)."""
    world = detect_world()
    set_up_logging(world)
    parser = make_parser()

    def work(told: Told) -> int:
        try:
            _run(parser.instantiate(parse_options(parser, arguments)))
        except (OtherRankFailed, RankLost) as error:
            sys.stderr.write(f"rank {world.rank} stops: {error}\n")
            return USER_ERROR
        except Stopped as stopped:
            LOG.warning("%s", stopped)
            return STOPPED
        return OK

    return run_program(work)


def _run(parsed: Namespace) -> None:
    options = dict(parsed[parsed.subcommand])
    config = options.pop("config", None)
    if parsed.subcommand == "pretrain":
        try:
            pretrain.main(_checked(PretrainConfig(**options)))
        finally:
            end_progress_line()
    else:
        forward.main(_checked(forward.ForwardConfig(**options, bert_config=config)))


def _checked(config: Config) -> Config:
    check_locations(config)
    return config


if __name__ == "__main__":
    sys.exit(main())
