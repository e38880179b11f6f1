"""Which processes are gone; the others are those of the tests of leases."""

import os
from dataclasses import replace

import pytest

from schemas import owner as owners
from schemas.owner import Owner


def test_this_process_is_not_gone():
    assert Owner.this_process().is_gone() is False


def test_of_another_machine_nobody_knows():
    assert replace(Owner.this_process(), machine="another").is_gone() is None
    assert replace(Owner.this_process(), machine="").is_gone() is None


@pytest.mark.parametrize("process", [2**22 + 1, 2**80])  # above Linux's largest
def test_a_number_that_no_process_has(process):
    assert replace(Owner.this_process(), process=process).is_gone() is True


def test_a_process_that_the_system_hides_from_this_user_may_live(monkeypatch):
    """As with hidepid=2: /proc has none of another user's processes, and a signal is not allowed."""

    def not_allowed(process, number):
        raise PermissionError

    monkeypatch.setattr(owners, "_began", lambda process: None)
    monkeypatch.setattr(os, "kill", not_allowed)
    assert Owner("host", owners._machine(), os.getpid(), "1").is_gone() is None
