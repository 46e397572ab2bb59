"""The rules for names: of runs, and of what is published under them on Kaggle. Everything that takes a name checks it here."""

import re

from aslutils.system.errors import UserError

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LICENCES = ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0",
            "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "CC-BY-3.0-IGO", "CC-BY-NC-SA-3.0-IGO", "apache-2.0", "GPL-2.0", "GPL-3.0",
            "LGPL-3.0", "AGPL-3.0", "FDL-1.3", "ODbL-1.0", "DbCL-1.0", "ODC-BY-1.0", "PDDL", "CDLA-Permissive-1.0",
            "CDLA-Sharing-1.0", "US-Government-Works", "EU-ODP-Legal-Notice", "copyright-authors", "other", "unknown")


def check_run(run) -> str:
    """The name of a run, which becomes a folder and a part of addresses. Raises UserError if it cannot be one."""
    if not isinstance(run, str) or not RUN.fullmatch(run):
        raise UserError(f"run {run!r} is not a valid name: use letters, digits, '.', '_', '-', beginning with a letter or digit")
    return run


def check_user(user: str) -> str:
    """A Kaggle name. Raises UserError if it cannot be one."""
    if not re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", user):
        raise UserError(f"user {user!r} is not a valid Kaggle name; your profile shows it: kaggle.com/<name>")
    return user


def check_slug(slug: str) -> str:
    """A data set's address on Kaggle, after its owner's name. Raises UserError if Kaggle would refuse it."""
    if not 6 <= len(slug) <= 50 or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise UserError(f"slug {slug!r}: Kaggle takes 6 to 50 characters a-z, 0-9 and single '-' between them, such as "
                        f"{_as_slug(slug)!r}")
    return slug


def check_dataset(title: str, slug: str, user: str, license: str) -> None:
    """What a data set is published under; user: "" if it is not known yet. Raises UserError for what Kaggle would refuse."""
    if not 6 <= len(title) <= 50:
        raise UserError(f"title {title!r} has {len(title)} characters; Kaggle takes 6 to 50")
    check_slug(slug)
    if user:
        check_user(user)
    if license not in LICENCES:
        near = [name for name in LICENCES if name.lower() == license.lower()]
        raise UserError(f"license {license!r} is unknown to Kaggle; " +
                        (f"write {near[0]!r}" if near else f"use one of {', '.join(LICENCES)}"))


def _as_slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50].strip("-")
    return slug if len(slug) >= 6 else f"asl-{slug}".strip("-").ljust(6, "0")
