"""What can go wrong, by what the user can do about it.

Every error that latbench raises on purpose is a :class:`LatbenchError`. Its text says what is
wrong, with the value, and how to mend it; the command line prints that text as one line.
"""


class LatbenchError(Exception):
    """Anything latbench refuses or fails to do, with the way to mend it. Exit code 1."""

    exit_code = 1


class UsageError(LatbenchError, ValueError):
    """What was asked for cannot be: a bad value, unit, name or file. Exit code 2."""

    exit_code = 2


class PluginError(LatbenchError, LookupError):
    """No plug-in of that name, or one that does not load. Exit code 2: the name was the user's."""

    exit_code = 2


class UnavailableError(LatbenchError):
    """A device or a runtime that exists but is not here; the text says what is missing."""


class StoreError(LatbenchError):
    """A store that cannot be opened, read or written: locked, corrupt, read-only, full or newer."""


class ArtefactError(LatbenchError):
    """A saved file that is truncated, tampered with, of another schema or of another target."""


class MissingMeasurementsError(LatbenchError):
    """Something must be measured first; the text names what, and the command that measures it."""


class NotFittedError(LatbenchError):
    """A predictor was asked before it was fitted."""


class InfeasibleError(LatbenchError):
    """No architecture meets the limit; the text names the fastest one that was found."""


class MeasurementError(LatbenchError):
    """A workload that could not be compiled or timed; the text is the reason that is stored."""
