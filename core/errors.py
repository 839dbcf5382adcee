"""Errors that are shown to people. Every message is one sentence that says what to do."""


class LabError(Exception):
    """Base of all errors whose text may be shown on a page or on stderr as it stands."""


class BadRequest(LabError):
    """A request holds a value that is out of range, of the wrong type, or unreadable."""


class UnknownModel(LabError):
    """The catalog has no model of this id."""


class DoesNotFit(LabError):
    """The model needs more memory than the budget allows, seen before it was loaded."""


class Unavailable(LabError):
    """Something outside this process (a file, the network, a remote endpoint) is missing or refuses."""


def first_line(error: Exception) -> str:
    """What a library's exception says, short enough to stand inside a sentence of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
