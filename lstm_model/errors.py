"""The mistakes that are the user's to mend; a command prints their message and exits with 2.

Exceptions:

* InputError
  * TableError            a table that can't be forecast as it is: names the row or column
  * SourceUnavailable     a table that can't be had: names the ways out

* Failure               what went wrong while a command ran: it says so, and exits with 1
  * TrainingFailed        a trial's own fault: its study goes on without it
"""

import errno
import os


class InputError(ValueError):
    """Something that the user gave breaks a rule; the message says which, what came, what next."""


class TableError(InputError):
    """A table breaks a rule; the message names the row or the column."""


class SourceUnavailable(InputError):
    """A table can't be reached; the message names the reason and the ways out."""


class Failure(RuntimeError):
    """A command can't come to its end; the message says why, and what next."""


class TrainingFailed(Failure):
    """A training that can't go on, such as one whose loss is no longer finite."""


def os_error_text(error: BaseException) -> str:
    """What went wrong, in the system's own words where there are any."""
    code = error.errno if isinstance(error, OSError) else None
    # EIO is what pyarrow has for what the system has no words for: it comes with its own.
    if code and code != errno.EIO:
        return os.strerror(code)
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "embedded null byte"  # from Python 3.13 on "stat: embedded null character in path"
    return str(getattr(error, "strerror", None) or error)
