"""The errors FloeLens raises: each says what is wrong, where, and what to do about it.

This module imports nothing, so that every layer may raise its errors.
"""


class FloeLensError(Exception):
    """Something a person can mend; the message is one clear sentence, on one line.

    Reasons that libraries give may have several lines.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


class ParameterError(FloeLensError):
    """A parameter has a value that cannot be used."""


class SceneError(FloeLensError):
    """A raster, vector or table cannot be read or does not fit the others."""


class ModelError(FloeLensError):
    """A model package is missing, damaged, or does not fit the scene."""


class OutputError(FloeLensError):
    """A result cannot be written where it was asked for."""


class NumericalError(FloeLensError):
    """A result cannot be computed from these numbers."""


class DependencyError(FloeLensError):
    """A library is missing; the message holds the command that installs it."""


class Cancelled(FloeLensError):
    """The user asked to stop; nothing is left under its final name."""
