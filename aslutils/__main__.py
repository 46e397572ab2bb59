"""The command line of the kit: `python -m aslutils COMMAND`, or `aslutils COMMAND` if the package is installed.

Options are parsed here (those of `kaggle` in `kaggle/commands.py`), the work is done in the modules. Exit codes: 0 done; 1 an
error that the user can fix, in one line; 2 wrong options; 3 stopped at a time limit; 130 interrupted; 141 the output was closed.
A bug shows its traceback.
"""

import argparse
import errno
import json
import os
import sys
import warnings
from pathlib import Path

from aslutils.system.errors import TimeLimit, UserError
from aslutils.system.options import distinct, folder, kit, profile, stage, whole

AGAIN = "start the same command again to go on"


def _run_options(parser):
    add = parser.add_argument
    add("--profile", default="demo", type=profile,
        help="the parameters: demo (default), hands, winning, beyond, or a folder with files like those in params/demo")
    add("--data", default="", type=folder, help="folder of competition files or of the published "
        "preprocessed .npy files; without it, and none in the profile, a small demo data set is generated")
    add("--run", default="", help="name of the run: artefacts go to datamount/RUN (default: the profile's folder)")
    add("--from", dest="start", type=stage, metavar="STAGE",
        help="redo this stage (01 .. 05) and what follows; keeps finished trainings unless --fresh")
    add("--seeds", type=whole(0), nargs="+", default=[], help="seeds of round 2 (default: the profile's, else 1 2)")
    add("--processes", type=whole(0), default=0, help="trainings at once (default: one per GPU, else as the parameters say)")
    add("--fresh", action="store_true", help="redo every stage, and train from scratch")


def _run(options):
    kit("run.pipeline").run_stages(
        options.profile, run=options.run or options.profile.name, data=options.data, start=options.start or "",
        seeds=distinct(options.seeds), processes=options.processes, fresh=options.fresh)


def _prepare_options(parser):
    add = parser.add_argument
    add("data", help="folder of competition files or of the published preprocessed arrays")
    add("store", help="folder to write the landmark store to")
    add("--dtype", choices=["float16", "float32"], default="float16", help="type of the stored landmarks (default: float16)")
    add("--workers", type=whole(1), help="processes (default: one for each core, at most 4)")
    add("--dask", metavar="tcp://HOST:PORT", help="run on this dask cluster; its workers need access to both folders")
    add("--rebuild", action="store_true", help="prepare the store again, even if it is complete")


def _prepare(options):
    kit("data.prepare").prepare(options.data, options.store, dtype=options.dtype, workers=options.workers, dask=options.dask,
                                rebuild=options.rebuild)


def _demo_options(parser):
    add = parser.add_argument
    add("out", type=Path, help="the folder to write")
    add("--phrases", type=Path, metavar="FILE", help="spell these phrases, one per line, instead of made-up ones")
    add("--characters", type=int, nargs=2, metavar=("LOW", "HIGH"), help="lengths of made-up phrases")
    for name, kind, meaning in (
            ("sequences", int, "training sequences"), ("supplemental", int, "supplemental sequences"),
            ("participants", int, "participants"), ("seed", int, "random seed"),
            ("frames-per-character", float, "median pace; the corpus has 8.9"),
            ("fastest", float, "fewest frames per character"), ("shortest", int, "fewest frames of a whole sequence"),
            ("missing", float, "share of frames without a hand; the corpus has 0.44"),
            ("long", float, "share of phrases that may have up to 31 characters"),
            ("resting", float, "share of sequences with a rest in view before or after"),
            ("varied", float, "share of participants who vary more: harder to read"),
            ("corrupted", float, "share of corrupted sequences"), ("gestures", float, "share in which nobody spells"),
            ("workers", int, "processes")):
        add(f"--{name}", type=kind, help=meaning)


def _demo(options):
    writer = kit("demo.writer")
    given = {name: value for name, value in vars(options).items() if value is not None and name != "out"}
    if "phrases" in given:
        given["phrases"] = writer.read_phrases(given["phrases"])
    if "characters" in given:
        given["characters"] = tuple(given["characters"])
    workers = given.pop("workers", 1)
    config = writer.DemoConfig(**given)
    out = writer.write_demo(options.out, workers=workers, **given)
    print(f"{config.sequences:,} training and {config.supplemental:,} supplemental sequences in {out}")


def _folds_options(parser):
    add = parser.add_argument
    add("source", help="a landmark store, or a CSV file of folds (ours or a published train_folded.csv)")
    add("--folds", type=whole(2), help="number of folds (default: as notebook 01)")
    add("--holdout", type=float, help="share of the participants kept out of both rounds (default: as notebook 01)")
    add("--seed", type=whole(0), help="seed of the division (default: as notebook 01)")
    add("--out", help="write the folds to this CSV file")


def _folds(options):
    folds = kit("data.folds")
    if Path(options.source).is_dir():
        stages = kit("run.stages")
        given = {"fold_count": options.folds, "holdout": options.holdout, "fold_seed": options.seed, "folds": [0]}
        data, *_ = stages.configs(stages.FOLDS, stages.defaults(stages.FOLDS)
                                  | {name: value for name, value in given.items() if value is not None})
        table = folds.divide(kit("data.store").Store(options.source).table, data.fold_count, data.holdout, data.fold_seed)
    elif (options.folds, options.holdout, options.seed) == (None, None, None):
        table = folds.read_folds(options.source)
    else:
        raise argparse.ArgumentTypeError(f"{options.source} is divided already; --folds, --holdout, --seed divide a store")
    balance = folds.balance(table)
    print(f"{balance.to_string()}\n{folds.verdict(balance)}")
    if options.out:
        kit("system.files").write_table(options.out, table)


def _train_options(parser):
    add = parser.add_argument
    add("round", choices=["round1", "round2"], help="round1: as notebook 01; round2: as notebook 03")
    add("--params", metavar="FILE", help="such as params/winning/03_fullfit.yaml (default: the demo's)")
    add("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="override a parameter; can be given several times")


def _train(options):
    stages = kit("run.stages")
    given = {name: kit("system.parameters").from_text(value) for name, value in options.p}
    parameters = stages.parameters(stages.ROUNDS[options.round], options.params, given)
    kit("run.training").train_round(options.round, parameters)


def _weights_options(parser):
    parser.add_argument("checkpoint", help="a checkpoint, ours or published")
    parser.add_argument("published", help="the file to write, such as checkpoint_last_seed1.pth")


def _weights(options):
    checkpoint = kit("model.checkpoint")
    print(f"wrote {checkpoint.save_published(options.published, checkpoint.load_network(options.checkpoint))}")


def _score_options(parser):
    add = parser.add_argument
    add("submission", help="zip file or folder with model.tflite and inference_args.json")
    add("data", help="competition folder with train.csv and train_landmarks")
    add("--limit", type=whole(1), help="score at most this many sequences, spread evenly")
    add("--json", action="store_true", help="print one JSON object")


def _score(options):
    scorer = kit("reading.scorer")
    result = scorer.score_submission(options.submission, options.data, limit=options.limit)
    figures = {name: value for name, value in result.items() if name != "predictions"}
    print(json.dumps(figures) if options.json else scorer.summary(result))


def _read_options(parser):
    add = parser.add_argument
    add("files", nargs="+", metavar="file",
        help="landmarks, .parquet in competition columns or .npy; any other file is a video; `webcam` or a "
        "camera's number is read until Ctrl-C. A video is read phrase by phrase, each sequence of a landmark file as one "
        "phrase. The first may be a model: the folder of an export, or its .tflite file")
    add("--model", type=Path, metavar="EXPORT", help="the model to read with (default: the one that comes with the kit)")
    add("--sequence", type=int, help="the sequence_id to read from a file that holds several (default: all)")
    add("--picture", type=Path, metavar="FILE.png",
        help="write a picture of one file: for a landmark file an animation of the hand as it is read; for a "
        "video some frames with the skeleton (default: clip.strip.png beside clip.mp4)")


def _read(options):
    if options.model is None and len(options.files) > 1 and kit("reading.tflite").is_model(options.files[0]):
        options.model = options.files.pop(0)
    if options.picture and len(options.files) != 1:
        raise argparse.ArgumentTypeError("--picture writes one picture: give exactly one file")
    recognizer = kit("reading.recognizer").Recognizer(options.model)
    by = f"by {options.model}" if options.model else "by the model that comes with the kit"
    print(f"{'file':<28} {'sequence':>12} {'frames':>6} {'ms':>6} {'sure':>5}  text, {by}")
    failures = []
    for file in options.files:
        try:
            _read_file(recognizer, file, options)
        except (UserError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            failures.append(error)
    if failures:
        raise UserError("\n".join(map(_words, failures)))


def _read_file(recognizer, file: str, options):
    """Print the reading of each sequence in a file, or of each phrase of a video or a camera, which has no id."""
    landmark_files = kit("reading.landmark_files")

    def show(reading, sequence_id=None):
        sure = "" if reading.confidence != reading.confidence else f"{reading.confidence:.2f}"
        print(f"{Path(file).name:<28} {'' if sequence_id is None else sequence_id:>12} {reading.length:>6} "
              f"{reading.milliseconds:>6.1f} {sure:>5}  {reading}", flush=True)

    if file == "webcam" or file.isdecimal() or landmark_files.is_video(file):
        if options.sequence is not None:
            raise UserError(f"{file} holds one sequence, without an id: leave --sequence out")
        readings, pictures = kit("reading.video").read_video(recognizer, file, show)
        kit("reading.strip").write_strip(options.picture or Path(file).with_suffix(".strip.png"), pictures, readings)
        return
    wanted = None if options.sequence is None else [options.sequence]
    found = landmark_files.sequences_in(file, recognizer.columns, wanted)
    if not found:
        raise UserError(f"{file} holds no sequence" + (f" {options.sequence}" if wanted else ""))
    failures = []
    for sequence_id, columns in found.items():
        try:
            reading = recognizer.read(columns)
        except UserError as error:
            failures.append(f"{file}{'' if sequence_id is None else f', sequence {sequence_id}'}: {error}")
        else:
            show(reading, sequence_id)
    if failures:
        raise UserError("\n".join(failures))
    if options.picture:
        content = kit("plots.reading").reading(recognizer, file, options.sequence)
        with kit("system.files").atomic(options.picture) as temporary:
            temporary.write_bytes(content)


def _page_options(parser):
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="the folder to write, for any static host")
    add("--model", type=Path, metavar="EXPORT", help="folder of an export with a fixed shape (default: the model that comes with "
        "the kit)")
    add("--serve", action="store_true", help="serve the page on this computer, until Ctrl-C")
    add("--port", type=whole(0, 65_535), default=0, help="the port to serve it on (default: any free one)")


def _page(options):
    write = kit("page.write")
    folder = write.write_page(options.out, options.model)
    if options.serve:
        write.serve(folder, options.port)
    else:
        print(f"{folder} is ready: put it on a static host with https, or serve it here with --serve")


COMMANDS = {                       # name -> description, adds its options, runs it, message after Ctrl-C
    "run": ("run the five notebooks, from landmark files to a scored TFLite model, as run_all.sh does", _run_options, _run,
            "run again, without --fresh, to resume from the last checkpoint"),
    "prepare": ("turn landmark files into a landmark store", _prepare_options, _prepare, AGAIN),
    "demo": ("write a data set spelled by kinematic hands", _demo_options, _demo, AGAIN),
    "folds": ("show how well participants are divided into folds, and write the folds", _folds_options, _folds, ""),
    "train": ("train a round without its notebook, on several GPUs with accelerate launch -m", _train_options, _train, AGAIN),
    "weights": ("rewrite a checkpoint in the form of the published winning weights", _weights_options, _weights, ""),
    "score": ("score a submission as the competition did", _score_options, _score, ""),
    "page": ("write a browser page that reads the hand before the camera", _page_options, _page, ""),
    "read": ("read landmark files, videos or a camera with an exported model", _read_options, _read, ""),
    "report": ("write a run's report.html again",
               lambda parser: parser.add_argument("run", help="the run's folder, such as datamount/demo"),
               lambda given: print(kit("run.report").write_report(given.run)), ""),
    "kaggle": ("get the data, train on Kaggle, publish a folder", lambda parser: kit("kaggle.commands").add_options(parser),
               lambda given: given.do(given),
               f"kernels on Kaggle keep running; {AGAIN}"),
}


def _parse(arguments):
    """Parse the options of the chosen command; only its parser is built."""
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {words}" for name, (words, *_) in COMMANDS.items())
    if chosen not in COMMANDS or arguments[0] != chosen:
        parser = argparse.ArgumentParser(
            prog="aslutils", description="American Sign Language fingerspelling from landmarks: train, export, publish, read.",
            epilog=f"commands:\n{listing}\n\n`aslutils COMMAND --help` lists a command's options.",
            formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
        parser.parse_args(arguments)
        parser.error("the command comes first, then its options")
    words, options, do, _ = COMMANDS[chosen]
    parser = argparse.ArgumentParser(prog=os.environ.get("ASLUTILS_PROGRAM") or f"aslutils {chosen}",
                                     description=f"{words[0].upper()}{words[1:]}.")
    options(parser)
    return chosen, do, parser.parse_args(arguments[1:])


def main(arguments=None) -> int:
    """Run one command and return how it ended."""
    chosen = ""
    warnings.formatwarning = lambda message, *_: f"{message}\n"
    try:
        chosen, do, options = _parse(sys.argv[1:] if arguments is None else arguments)
        do(options)
        print(end="", flush=True)                 # raises here if the output was closed
        return 0
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError) or getattr(error, "errno", None) == errno.EPIPE:
            return _nobody_reads()
        return _say(1, _words(error))
    except argparse.ArgumentTypeError as error:   # options that exclude each other
        return _say(2, str(error))
    except TimeLimit as error:
        return _say(3, str(error))
    except KeyboardInterrupt:
        more = COMMANDS[chosen][3] if chosen else ""
        return _say(130, f"Interrupted{'; ' + more if more else ''}.")


def _words(error: Exception) -> str:
    """The message of an error; of a system error its own if it was raised with one, else the file and what failed."""
    if isinstance(error, UserError) or not isinstance(error, OSError):
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error.strerror or error)


def _say(code: int, words: str) -> int:
    if sys.stderr is not None:
        print(words, file=sys.stderr)
    return code


def _nobody_reads() -> int:
    """End quietly: discard what is still to be written at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


if __name__ == "__main__":
    sys.exit(main())
