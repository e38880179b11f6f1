"""What a conversion refuses."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import ContractError, OneMessage


class ConversionRefused(ContractError):
    """The checkpoint does not fit the model that its configuration describes; lists every problem."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(
            f"{source} cannot be converted, {len(self.problems)} problem(s):{listed}\n",
            "every variable is used or deliberately ignored, every parameter is filled, and shapes agree",
            "give the bert_config.json that the checkpoint was trained with, or fix the checkpoint",
        )


class VerificationFailed(ContractError):
    """Source and target do not compute the same."""


class ProcessFailed(OneMessage, RuntimeError):
    """A child process that reads or runs a model ended without its result."""
