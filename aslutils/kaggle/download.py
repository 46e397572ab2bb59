"""Download the competition's files, or the published preprocessed ones, with the official client.

Files are downloaded one by one where Kaggle allows it, so that an interrupted download resumes and needs no extra disk space.
"""

import shutil
import zipfile
import zlib
from pathlib import Path

import pyarrow.parquet

from aslutils.data.sources import DataError, read_corpus
from aslutils.kaggle.client import KaggleError, listing, run_client
from aslutils.run.place import COMPETITION
from aslutils.system.errors import UserError
from aslutils.system.files import atomic, check_space, write_json
from aslutils.system.inputs import read_json
from aslutils.system.progress import progress

PREPROCESSED = ("darraghdog/asl-fingerspelling-preprocessing-train-dataset",
                "darraghdog/asl-fingerspelling-preprocessed-supp-dataset")
DAMAGED = zipfile.BadZipFile, zlib.error, EOFError                # what reading a damaged archive raises
TABLES = ("train.csv", "supplemental_metadata.csv", "character_to_prediction_index.json")


def download(what: str, out) -> Path:
    """Fetch "competition" (190 GB) or "preprocessed" into `out` and check it; a repeated call resumes.

    Raises KaggleError (kind "rules" until the competition's rules are accepted), OSError if the disk is too small, and
    sources.DataError for files that cannot be read.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if what == "competition":
        download_competition(out)
    elif what == "preprocessed":
        download_competition(out, only=TABLES)
        for reference in PREPROCESSED:
            download_dataset(reference, out)
    else:
        raise UserError(f"there is no {what!r} to download; there are \"competition\" and \"preprocessed\"")
    verify(out)
    return out


def download_competition(out: Path, only=None) -> None:
    """Download the competition's files, those in `only` or all; skips files that already have the listed size."""
    listed = [row for row in listing("competitions", "files", COMPETITION) if only is None or row["name"] in only]
    missing = [row for row in listed if not _is_here(out / row["name"], row["size"])]
    check_space(out, sum(row["size"] for row in missing))
    with progress(total=sum(row["size"] for row in listed), what="download", unit="B", unit_scale=True,
                  initial=sum(row["size"] for row in listed if row not in missing)) as bar:
        for row in missing:
            bar.set_postfix_str(row["name"])
            target = out / row["name"]
            run_client("competitions", "download", COMPETITION, "-f", row["name"], "-p", out)
            _unpack_single(target)
            if not _is_here(target, row["size"]):
                size = target.stat().st_size if target.is_file() else 0
                raise KaggleError(f"{target} has {size:,} bytes, Kaggle lists {row['size']:,}; remove it and start again")
            bar.update(row["size"])


def _is_here(path: Path, size: int) -> bool:
    """Whether a file is complete; the client marks unfinished ones."""
    return path.is_file() and path.stat().st_size == size and not path.with_name(path.name + ".kaggle-partial").exists()


def _unpack_single(target: Path) -> None:
    """Unpack a single file that was served as `<name>.zip`, whatever it is called in there."""
    packed = target.with_name(target.name + ".zip")
    if not packed.is_file():
        return
    try:
        with zipfile.ZipFile(packed) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise zipfile.BadZipFile(f"{len(members)} files instead of one")
            with archive.open(members[0]) as source, atomic(target) as temporary, open(temporary, "wb") as file:
                shutil.copyfileobj(source, file)
    except DAMAGED as error:
        raise _removed(packed, error) from error
    packed.unlink()


def _removed(packed: Path, error: Exception) -> KaggleError:
    """Remove a damaged archive, so that it is fetched again, and say so."""
    packed.unlink()
    return KaggleError(f"{packed} was damaged ({error}) and has been removed; start again to download it")


def download_dataset(reference: str, out: Path) -> None:
    """Download a whole data set, `owner/slug`, and unpack it into `out/<slug>`; a JSON file beside it marks it as complete."""
    slug = reference.partition("/")[2]
    packed, folder, note = out / f"{slug}.zip", out / slug, out / f"{slug}.json"
    if note.is_file() and read_json(note)["files"] == sum(path.is_file() for path in folder.rglob("*")):
        return
    if not _is_whole(packed):
        run_client("datasets", "download", reference, "-p", out, echo=True)
    try:
        count = _unpack(packed, folder)
    except DAMAGED as error:
        raise _removed(packed, error) from error
    write_json(note, {"files": count})
    packed.unlink()


def _is_whole(packed: Path) -> bool:
    return packed.is_file() and not packed.with_name(packed.name + ".kaggle-partial").exists() and zipfile.is_zipfile(packed)


def _unpack(packed: Path, folder: Path) -> int:
    """Unpack an archive with checksums checked, resuming an interrupted unpacking; returns its number of files."""
    with zipfile.ZipFile(packed) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        kept = [member for member in members if not _is_here(folder / member.filename, member.file_size)]
        check_space(folder.parent, sum(member.file_size for member in kept))
        for member in progress(kept, what=f"unpack {packed.name}", unit="files"):
            archive.extract(member, folder)
    return len(members)


def verify(out) -> None:
    """Check a download: every parquet footer is readable, the tables match the files; prints a summary.

    Raises sources.DataError naming each file that cannot be read.
    """
    damaged = []
    for path in progress(sorted(Path(out).glob("*_landmarks/*.parquet")), what="check", unit="files"):
        try:
            pyarrow.parquet.read_metadata(path)
        except (OSError, ValueError) as error:
            damaged.append(f"{path}: {error}")
    if damaged:
        raise DataError("\n".join(["these files are damaged; remove them and start the download again:", *damaged]))
    table, sources, _ = read_corpus(out)
    unusable = table["reason"].ne("").sum()
    print(f"{out}: {len(table):,} sequences in {len(sources):,} files, all files readable"
          + (f"; {unusable:,} sequences cannot be used (no file, or an invalid phrase)" if unusable else ""))
