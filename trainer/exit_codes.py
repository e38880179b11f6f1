"""How the trainer ends. Python's own 1 is left for what nobody foresaw, with its traceback."""

from command_line.outermost import REFUSED

USER_ERROR = REFUSED
"""Something must be fixed before it is started again: data, a folder, an option, a full disk, divergence."""

STOPPED = 75
"""Stopped on request (SIGTERM) with its checkpoint saved: start it again.

sysexits.h's EX_TEMPFAIL, "the user is invited to retry". Not 143, which shells and schedulers report for a
process that SIGTERM killed before it had saved anything.
"""
