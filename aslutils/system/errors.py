"""Errors that the user can fix; any other exception is a bug."""


class UserError(ValueError):
    """An error that the user can fix: the message names the file or value, what was expected, and what to do."""


def at_least(config, **least) -> None:
    """Raise UserError for the first field of a configuration that is below the minimum given here."""
    for name, bound in least.items():
        if not getattr(config, name) >= bound:    # NaN too
            raise UserError(f"{name} is {getattr(config, name)}; it must be at least {bound}")


def above_zero(config, *names) -> None:
    """Raise UserError for the first field of a configuration that is not above 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise UserError(f"{name} is {getattr(config, name)}; it must be above 0")


def one_of(config, **choices) -> None:
    """Raise UserError for the first field of a configuration that is none of the values given here."""
    for name, values in choices.items():
        if getattr(config, name) not in values:
            words = ", ".join(repr(value) for value in values)
            raise UserError(f"{name} is {getattr(config, name)!r}; it must be one of {words}")


class MissingPackage(UserError, ImportError):
    """A package that this task needs is not installed; the message says how to install it."""


class TimeLimit(Exception):
    """A stage or a training stopped at its time limit, with a checkpoint; the message says how to continue."""
