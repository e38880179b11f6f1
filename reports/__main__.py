"""`python -m reports run | training | profile | embeddings | demo-summary`: the command line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import fsspec
from fsspec.implementations.local import LocalFileSystem
from jsonargparse import ArgumentParser

from command_line.outermost import OK
from command_line.subcommands import Command, make_parser, run_command
from reports.drift import DriftLimits, compare, verdict_lines
from reports.embeddings_page import render_embeddings
from reports.page import render
from reports.profile_page import render_profile
from reports.summary import summarise
from reports.training_page import render_training
from schemas.files import write_whole
from schemas.lease import hold_file
from schemas.profile import read_profile, same_profile

LOG = logging.getLogger(__name__)

DRIFTED = 3


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """One page."""

    run: str
    """The run's folder."""
    output: str
    """The HTML file to write."""


@dataclass(frozen=True, kw_only=True)
class TrainingReportConfig:
    """One page on a pretraining."""

    run: str
    """The pretraining's folder: pretrain/ of a run."""
    output: str
    """The HTML file to write."""


@dataclass(frozen=True, kw_only=True)
class SummaryConfig:
    """One summary on the terminal."""

    run: str
    """The run's folder."""


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """One data profile's page, and its verdict against a reference.

    Args:
        profile: the profile's folder.
        output: the HTML file to write.
        reference: another profile of the same stage; exit status 3 where this one drifted from it.
        limits: how far is still a pass.
    """

    profile: str
    output: str
    reference: str | None = None
    limits: DriftLimits = field(default_factory=DriftLimits)


@dataclass(frozen=True, kw_only=True)
class EmbeddingsConfig:
    """One page on vectors."""

    embeddings: str
    """The embeddings' folder."""
    output: str
    """The HTML file to write."""


def write_embeddings(config: EmbeddingsConfig) -> int:
    """Render the page of a model's vectors and write it. Raises ContractError."""
    _write_page(config.output, render_embeddings(config.embeddings))
    return OK


def write_report(config: ReportConfig) -> int:
    """Render a run's page and write it. Raises ContractError when the folder is no run."""
    _write_page(config.output, render(config.run))
    return OK


def write_training_report(config: TrainingReportConfig) -> int:
    """Render a pretraining's page and write it. Raises ContractError when the folder has no log."""
    _write_page(config.output, render_training(config.run))
    return OK


def write_profile(config: ProfileConfig) -> int:
    """Render a profile's page and write it; with a reference, say on standard output what drifted.

    Raises ContractError when a folder is no profile, or the two are of different stages, or one folder.
    """
    if config.reference and _place(config.reference) == _place(config.profile):
        raise same_profile(config.reference)
    found, manifest = read_profile(config.profile)
    if config.reference is None:
        _write_page(config.output, render_profile(found, manifest))
        return OK
    reference, _ = read_profile(config.reference)
    drift = compare(found, reference, config.limits)
    _write_page(config.output, render_profile(found, manifest, reference, drift))
    sys.stdout.write(verdict_lines(drift))
    return OK if drift.ok else DRIFTED


def _place(uri: str) -> str:
    """The same for all names of a folder; links are followed where it is local."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    local = isinstance(filesystem, LocalFileSystem)
    return os.path.realpath(path) if local else filesystem.unstrip_protocol(path)


def _write_page(uri: str, page: str) -> None:
    filesystem, path = fsspec.core.url_to_fs(uri)
    filesystem.makedirs(filesystem._parent(path), exist_ok=True)
    content = page.encode()
    with hold_file(uri):
        write_whole(uri, content)
    LOG.info("%s: %d kB", uri, len(content) // 1000)


def show_summary(config: SummaryConfig) -> int:
    """Say on standard output what a run made and where it lies. Raises ContractError when it is no run."""
    sys.stdout.write(summarise(config.run))
    return OK


COMMANDS = {
    "run": Command(ReportConfig, write_report, "one self-contained HTML page on a run"),
    "training": Command(TrainingReportConfig, write_training_report, "one page on a pretraining alone"),
    "profile": Command(ProfileConfig, write_profile, "one page on a stage's data; a gate, with a reference"),
    "embeddings": Command(EmbeddingsConfig, write_embeddings, "one page on a model's vectors of codes"),
    "demo-summary": Command(
        SummaryConfig, show_summary, "what a run made, where it lies, how to load the model"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 2 for what is refused (command_line.outermost), 3 for a drift."""
    return run_command(_parser(), COMMANDS, arguments, int)


def _parser() -> ArgumentParser:
    return make_parser("reports", "What a run made, for people.", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
