"""Errors that the user can fix; any other exception is a bug."""


class UserError(ValueError):
    """An error that the user can fix: the message names the file or value, what was expected, and what to do."""


def at_least(config, **least) -> None:
    """Raise UserError for the first field of a configuration that is below the minimum given here."""
    for name, bound in least.items():
        if getattr(config, name) < bound:
            raise UserError(f"{name} is {getattr(config, name)}; it must be at least {bound}")


class MissingPackage(UserError, ImportError):
    """A package that this task needs is not installed; the message says how to install it."""


class TimeLimit(Exception):
    """A stage or a training stopped at its time limit, with a checkpoint; the message says how to continue."""
