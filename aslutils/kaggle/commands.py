"""`aslutils kaggle kernels`, `download` and `publish`: their options, and what they do with them."""

from pathlib import Path

from aslutils.system.options import KIT, distinct, kit, positive, profile, whole

MADE_UP = ("demo", "hands")        # the profiles that are made for made-up hands


def add_options(parser):
    """Add the options of all three commands to `aslutils kaggle`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="kaggle_command")
    kernels = commands.add_parser("kernels", help="write the stages as Kaggle kernels; with --push, run them on Kaggle")
    kernels.add_argument("--profile", default="winning", type=profile, help="parameters, as for run (default: winning)")
    kernels.add_argument("--user", required=True, help="your Kaggle name, as in kaggle.com/NAME")
    kernels.add_argument("--run", default="", help="the run's name (default: the profile's)")
    kernels.add_argument("--out", type=Path, help="folder to write them to (default: datamount/kaggle/RUN)")
    kernels.add_argument("--seeds", type=whole(0), nargs="+", default=[],
                         help="seeds of round 2 (default: the profile's, else 1 2)")
    kernels.add_argument("--processes", type=int, default=1, choices=[1, 2],
                         help="trainings at once in a session, one per GPU; 2 halves the GPU quota used (default: 1)")
    kernels.add_argument("--minutes", type=positive, default=510, help="a training stops with a checkpoint after this time, and "
                         "a later session resumes it (default: 510, of Kaggle's 9 to 12 hours)")
    kernels.add_argument("--data", choices=["competition", "demo"],
                         help="what they read (default: demo for the profiles demo and hands)")
    kernels.add_argument("--no-packages", dest="packages", action="store_false",
                         help="leave out packages that Kaggle's image may lack (fetched with pip, which needs internet)")
    kernels.add_argument("--push", action="store_true", help="push the kernels, wait, continue; can be stopped and started again")
    kernels.add_argument("--poll", type=positive, default=60, help="seconds between polls (default: 60)")
    kernels.set_defaults(do=_kernels)
    download = commands.add_parser("download", help="download the data; resumes when started again")
    download.add_argument("out", type=Path, metavar="OUT", help="folder to put it in")
    download.add_argument("--what", default="competition", choices=["competition", "preprocessed"],
                          help="the competition's files (190 GB, default), or the published preprocessed .npy files")
    download.set_defaults(do=lambda given: kit("kaggle.download").download(given.what, given.out))
    publish = commands.add_parser("publish", help="publish a folder as a Kaggle data set, or as a new version of it")
    publish.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with dataset-metadata.json")
    publish.add_argument("--message", default="New version", help="what changed")
    publish.add_argument("--public", action="store_true", help="make a newly created data set public (default: private)")
    publish.set_defaults(do=lambda given: print(kit("kaggle.publish").publish(given.folder, message=given.message,
                                                                             public=given.public)))


def _kernels(options) -> None:
    run = options.run or options.profile.name
    out = options.out or KIT / "datamount" / "kaggle" / run
    data = options.data or ("demo" if options.profile.name in MADE_UP else "competition")
    kit("system.names").check_run(run)
    kit("system.names").check_user(options.user)
    kernels = kit("kaggle.kernels").plan(
        options.profile, run=run, seeds=distinct(options.seeds), processes=options.processes, minutes=options.minutes,
        competition=data == "competition")
    cluster = kit("kaggle.cluster")
    with cluster.alone(out):
        kit("kaggle.kernels").write_kernels(kernels, out, options.user, packages=options.packages)
        print(f"{len(kernels)} kernels and the data set that they import are in {out}")
        if not options.push:
            print("Add --push to run them on Kaggle.")
            return
        cluster.Cluster(kernels, out, options.user, poll=options.poll).run()
    print(f"All done: https://www.kaggle.com/code/{options.user}/{kernels[-1].slug} holds the submission.")
