"""`python -m aslutils.kaggle download|kernels|publish`: get the data, train on Kaggle, publish a folder."""

import argparse
import sys
from pathlib import Path

from aslutils.kaggle.client import KaggleError
from aslutils.run.place import KIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aslutils.kaggle", description=__doc__.partition(": ")[2].capitalize())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    kernels = commands.add_parser("kernels", help="write the stages as Kaggle kernels, and with --push run them there")
    kernels.add_argument("--profile", default="winning", help="folder under params/ (default: winning)")
    kernels.add_argument("--user", required=True, help="your Kaggle name, as in kaggle.com/NAME")
    kernels.add_argument("--run", default="", help="the run's name (default: the profile's)")
    kernels.add_argument("--out", type=Path, help="folder to write them to (default: datamount/kaggle/RUN)")
    kernels.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="seeds of round 2 (default: 1 2)")
    kernels.add_argument("--per-session", type=int, default=1, choices=[1, 2],
                         help="folds or seeds that a session trains at once, one a GPU; 2 halves the GPU quota that they take "
                              "(default: 1, all side by side)")
    kernels.add_argument("--minutes", type=float, default=510, help="a training stops with a checkpoint after this time, and a "
                         "later session goes on (default: 510, of Kaggle's 9 to 12 hours)")
    kernels.add_argument("--data", choices=["competition", "demo"], help="what they read (default: demo for the profile demo)")
    kernels.add_argument("--no-packages", dest="packages", action="store_false",
                         help="leave out what Kaggle's image may lack (fetched with pip, which needs internet)")
    kernels.add_argument("--push", action="store_true", help="push them, wait, go on; can be stopped and started again")
    kernels.add_argument("--poll", type=float, default=60, help="seconds between looks (default: 60)")
    kernels.set_defaults(do=_kernels)

    download = commands.add_parser("download", help="fetch the recordings; started again it goes on")
    download.add_argument("out", type=Path, metavar="OUT", help="folder to put them in")
    download.add_argument("--what", default="competition", choices=["competition", "preprocessed"],
                          help="the competition's files (190 GB, default), or the published preprocessed .npy files")
    download.set_defaults(do=_download)

    publish = commands.add_parser("publish", help="make a folder a Kaggle data set, or a new version of it")
    publish.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with dataset-metadata.json")
    publish.add_argument("--message", default="New version", help="what changed")
    publish.add_argument("--public", action="store_true", help="when it is created: for everyone (default: private)")
    publish.set_defaults(do=_publish)
    return parser


def _kernels(options) -> None:
    from aslutils.kaggle.cluster import Cluster
    from aslutils.kaggle.kernels import plan, write_kernels

    out = options.out or KIT / "datamount" / "kaggle" / (options.run or options.profile)
    data = options.data or ("demo" if options.profile == "demo" else "competition")
    kernels = plan(options.profile, run=options.run, seeds=options.seeds, per_session=options.per_session,
                   minutes=options.minutes, competition=data == "competition")
    write_kernels(kernels, out, options.user, packages=options.packages)
    print(f"{len(kernels)} kernels and the data set that they import are in {out}")
    if options.push:
        Cluster(kernels, out, options.user, poll=options.poll).run()
        print(f"All done: https://www.kaggle.com/code/{options.user}/{kernels[-1].slug} holds the submission.")
    else:
        print("Add --push to run them on Kaggle.")


def _download(options) -> None:
    from aslutils.kaggle.download import download

    download(options.what, options.out)


def _publish(options) -> None:
    from aslutils.kaggle.publish import publish

    print(publish(options.folder, message=options.message, public=options.public))


def main(arguments=None) -> int:
    """0 when all went well, 1 for an error that is told in words, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    try:
        options.do(options)
    except (KaggleError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; what was begun at Kaggle goes on there. Start the same command again to go on here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
