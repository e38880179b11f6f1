"""The exceptions that tell a user all there is to know, and the one for data that breaks a contract."""


class OneMessage(Exception):
    """An error that its message explains: programs print that, and no traceback."""


class ContractError(OneMessage, ValueError):
    """Data, a folder or an option breaks a contract.

    The message says three things, in this order: the value that was found, the rule that it breaks, the
    remedy.
    """

    def __init__(self, found: str, rule: str, remedy: str) -> None:
        self.found, self.rule, self.remedy = found, rule, remedy
        super().__init__(f"{found}. Rule: {rule}. Remedy: {remedy}.")


class NotPublished(ContractError):
    """A folder has no manifest: the stage that writes it has not finished."""


class NotThere(ContractError):
    """There is no such file."""
