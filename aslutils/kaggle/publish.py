"""Publish a folder as a Kaggle data set: its metadata, its first version and later ones."""

import codecs
import json
import re
import shlex
import time
from pathlib import Path

from aslutils.kaggle.client import DENIED, UNKNOWN, KaggleError, run_client, username
from aslutils.system.errors import UserError
from aslutils.system.files import write_json
from aslutils.system.inputs import read_json
from aslutils.system.names import check_dataset

METADATA = "dataset-metadata.json"
NOBODY = "insert-your-kaggle-name"       # owner in the metadata while the user's name is unknown


def write_dataset_metadata(folder, *, title: str, slug: str, user: str = "", license: str = "apache-2.0",
                           description: str = "") -> Path:
    """Write `dataset-metadata.json` into `folder`, so that `kaggle datasets create|version -p folder` works by hand too.

    title: 6..50 characters; slug: the data set's address, 6..50 of a-z, 0-9 and single '-'; user: its owner's Kaggle name, ""
    for the owner of the credentials, left open if Kaggle does not name one; license: one of `names.LICENCES`.
    Raises ValueError for a value that Kaggle would refuse.
    """
    try:
        user = user or username() or NOBODY
    except KaggleError:                                          # no network, or an old token: `publish` asks again
        user = NOBODY
    check_dataset(title, slug, user, license)
    return write_json(Path(folder) / METADATA, {"title": title, "id": f"{user}/{slug}", "licenses": [{"name": license}],
                                                "description": description})


def publish_commands(folder, *, message: str = "New version") -> str:
    """Shell commands equivalent to `publish`: the first upload, a later one, and a check whether it is ready."""
    reference, place = _reference(folder, anybody=True), shlex.quote(str(folder))
    commands = [f"kaggle datasets create -p {place} --dir-mode zip            # the first time (-u: public)",
                f"kaggle datasets version -p {place} --dir-mode zip -m {shlex.quote(message)}   # afterwards",
                f"kaggle datasets status {reference}"]
    if reference.startswith(f"{NOBODY}/"):
        metadata = shlex.quote(str(Path(folder) / METADATA))
        commands.insert(0, f"sed -i 's/{NOBODY}/YOUR_KAGGLE_NAME/' {metadata}   # your name, once")
    return "\n".join(commands)


def publish(folder, *, message: str = "New version", public: bool = False, minutes: float = 30, poll: float = 10) -> str:
    """Upload `folder` as the data set that its metadata names, and return its address once Kaggle reports that it is ready.

    The first call creates it (private, unless `public`), later calls add a version with `message`. After an interruption or a
    refusal, another call resumes the upload with the missing bytes. minutes: how long to wait for Kaggle; poll: seconds between
    polls. Raises KaggleError with the client's output.
    """
    folder = Path(folder)
    reference = _reference(folder)
    before = _status(reference)
    upload = ["create", *(["--public"] if public else [])] if before is None else ["version", "-m", message]
    try:
        said = run_client("datasets", *upload, "-p", folder, "--dir-mode", "zip", echo=True)
    except KaggleError as error:
        raise KaggleError(f"{error}\n{_what_now(str(error), reference)}", error.kind) from None
    address = re.search(r"https?://\S+", said)
    _wait(reference, (before or {}).get("current_version_number") or 0, minutes, poll)
    return address.group(0).rstrip(".") if address else f"https://www.kaggle.com/datasets/{reference}"


def _what_now(said: str, reference: str) -> str:
    """What to do about a refused upload."""
    if "already in use" in said:
        return f"The title or the address {reference} is taken: give the data set another title and slug."
    if "Upload unsuccessful" in said:
        return f"{reference} on Kaggle now lacks those files. Start the upload again: it becomes the next version."
    return "Start it again: the upload resumes where it stopped."


def _reference(folder, anybody=False) -> str:
    """`owner/slug` of the data set that `folder` will become."""
    metadata = Path(folder) / METADATA
    if not metadata.exists():
        raise FileNotFoundError(f"{metadata} is missing; write it with write_dataset_metadata")
    stored = read_json(metadata)
    if metadata.read_bytes().startswith(codecs.BOM_UTF8):        # the client would stumble over it
        write_json(metadata, stored)
    reference = stored.get("id")
    owner, found, slug = reference.partition("/") if isinstance(reference, str) else ("", "", "")
    if not owner or not slug:
        raise UserError(f'{metadata} has no "id": "your-kaggle-name/address-of-the-data-set" (it says {reference!r})')
    try:
        licences = [licence["name"] for licence in stored.get("licenses") or [{}]]
        title = stored.get("title", "")
        if not isinstance(title, str) or not isinstance(stored.get("description", ""), str):
            raise UserError(f"title is {title!r} and description {stored.get('description')!r}, expected texts")
        for licence in licences:
            check_dataset(title, slug, owner, str(licence))
    except (LookupError, TypeError):
        raise UserError(f'{metadata}: licenses is {stored.get("licenses")!r}, expected [{{"name": "apache-2.0"}}]') from None
    except UserError as error:
        raise UserError(f"{metadata}: {error}") from error
    if reference.startswith(f"{NOBODY}/") and not anybody:
        owner = username()
        if not owner:
            raise KaggleError(f"{metadata} names no owner: replace {NOBODY} by your Kaggle name", "credentials")
        reference = reference.replace(NOBODY, owner)
        write_json(metadata, {**stored, "id": reference})
    return reference

def _status(reference: str) -> dict | None:
    """A data set's `status` and `current_version_number`; None if Kaggle does not know (or does not show) it."""
    try:
        return json.loads(run_client("datasets", "status", reference, "--format", "json").splitlines()[-1])
    except KaggleError as error:
        if DENIED.search(str(error)) or UNKNOWN.search(str(error)):          # free to be created, as the client itself reads it
            return None
        raise


def _wait(reference: str, version: int, minutes: float, poll: float) -> None:
    """Wait until Kaggle has a version newer than `version` ready."""
    deadline = time.monotonic() + 60 * minutes
    page = f"https://www.kaggle.com/datasets/{reference}"
    told = None
    while True:
        status = _status(reference) or {"status": "unknown yet", "current_version_number": 0}
        if status["status"] == "ready" and (status["current_version_number"] or 0) > version:
            return
        if status["status"] in ("failed", "deleted"):
            raise KaggleError(f"Kaggle took the files but reports for {reference}: {status['status']}; see {page}")
        if status["status"] != told:
            told = status["status"]
            print(f"uploaded; Kaggle is processing {reference} ({told.replace('_', ' ')})", flush=True)
        if time.monotonic() > deadline:
            raise KaggleError(f"{reference} is uploaded, but after {minutes:g} minutes Kaggle still reports {told}; see {page}",
                              "server")
        time.sleep(poll)
