"""The kit as Kaggle kernels: what is written, and how the real client pushes it, waits, and goes on."""

import dataclasses
import json
import os
import shutil

import pytest
import yaml

from aslutils.__main__ import main
from aslutils.kaggle.client import KaggleError
from aslutils.kaggle.cluster import Cluster, _digest, alone
from aslutils.kaggle.kernels import plan, write_kernels
from aslutils.run.place import KIT
from aslutils.run.stages import FOLDS, SEEDS, STAGES, TRAININGS, defaults
from aslutils.system.files import LOCK, locked, writable

pytestmark = pytest.mark.slow

SEED1, SEED2 = "signer/asl-winning-03-seed1", "signer/asl-winning-03-seed2"


@pytest.fixture
def kit(tmp_path):
    """The kit's notebooks and winning parameters, two folds, beside a stand-in for its code."""
    folder = tmp_path / "kit"
    shutil.copytree(KIT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(KIT / "params/winning", folder / "params/winning")
    change(folder, "01_round1_folds", folds=[0, 1], fold_count=2)
    change(folder, "03_fullfit", fold_count=2)
    (folder / "aslutils/__pycache__").mkdir(parents=True)
    (folder / "aslutils/__init__.py").write_text('"""A stand-in."""\n')
    (folder / "aslutils/__pycache__/old.pyc").touch()
    return folder


def change(kit, stage, **values):
    path = kit / f"params/winning/{stage}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def winning(kit, **options):
    """The plan of this kit's winning profile."""
    given = {"run": "winning", "seeds": [1, 2], "processes": 1, "minutes": 510, "competition": True, **options}
    return plan(kit / "params/winning", kit=kit, **given)


@pytest.fixture
def written(kit, tmp_path):
    kernels = winning(kit)
    write_kernels(kernels, tmp_path / "out", "signer", kit=kit, packages=False)
    return kernels


def metadata(folder):
    return json.loads((folder / "kernel-metadata.json").read_text())


def injected(text):
    """The parameters in the injected cell of a notebook, in the form that is pushed."""
    cells = [cell for cell in json.loads(text)["cells"] if "injected-parameters" in cell["metadata"].get("tags", [])]
    values = {}
    exec("".join(cells[0]["source"]), values)
    return {name: value for name, value in values.items() if name != "__builtins__"}


def test_each_stage_fold_and_seed_is_a_kernel_that_reads_what_came_before(written, tmp_path):
    names = [kernel.name for kernel in written]
    assert names == ["00_prepare", "01_round1_folds_fold0", "01_round1_folds_fold1", "02_build_oof", "03_fullfit_seed1",
                     "03_fullfit_seed2", "04_convert_tflite", "05_submission_kernel"]
    seed2 = metadata(tmp_path / "out" / "03_fullfit_seed2")
    assert seed2["kernel_sources"] == [f"signer/asl-winning-{stage}" for stage in ("00", "01-fold0", "01-fold1", "02")]
    assert SEED1 in metadata(tmp_path / "out" / "04_convert_tflite")["kernel_sources"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_without_internet_with_competition_and_code_attached_and_on_t4_where_it_trains(written, tmp_path, name):
    folder = next((tmp_path / "out").glob(f"{name}*"))
    told = metadata(folder)
    trains = name in ("01_round1_folds", "03_fullfit")
    assert (told["enable_gpu"], told.get("machine_shape")) == (trains, "NvidiaTeslaT4" if trains else None)
    assert not told["enable_internet"] and told["is_private"]
    assert told["competition_sources"] == ["asl-fingerspelling"] and told["dataset_sources"] == ["signer/asl-winning-kit"]
    assert (folder / told["code_file"]).is_file() and told["kernel_type"] == "notebook"
    assert told["title"].replace(" ", "-") == told["id"].partition("/")[2]


def test_parameters_are_injected_with_each_kernels_own_on_top(written, tmp_path):
    fold1 = injected((tmp_path / "out/01_round1_folds_fold1/01_round1_folds.ipynb").read_text())
    assert set(fold1) == set(defaults("01_round1_folds"))
    assert {name: fold1[name] for name in ("folds", "run", "processes", "max_minutes")} == {
        "folds": [1], "run": "winning", "processes": 1, "max_minutes": 510.0}
    seed2 = injected((tmp_path / "out/03_fullfit_seed2/03_fullfit.ipynb").read_text())
    assert (seed2["epochs"], seed2["seeds"], seed2["max_minutes"]) == (400, [2], 510.0)


def test_the_profile_names_the_seeds_if_the_command_does_not(kit):
    def trained(**options):
        return [kernel.parameters["seeds"] for kernel in winning(kit, **options) if kernel.notebook == SEEDS]

    assert trained(seeds=[]) == [[1], [2]]
    change(kit, SEEDS, seeds=[3, 5, 8])
    assert trained(seeds=[]) == [[3], [5], [8]] and trained(seeds=[7]) == [[7]]


def test_aligned_cuts_without_a_head_to_align_with_are_refused_before_anything_is_trained(kit):
    change(kit, SEEDS, align_cuts=True)
    with pytest.raises(ValueError, match="round 1 trains no CTC head to align with: set its ctc_weight above 0"):
        winning(kit)


def test_a_session_can_train_two_folds_or_seeds_one_a_gpu(kit):
    kernels = winning(kit, processes=2, seeds=[1, 2, 3])
    told = [(kernel.slug, kernel.parameters["folds" if kernel.notebook == FOLDS else "seeds"], kernel.parameters["processes"])
            for kernel in kernels if kernel.notebook in TRAININGS]
    assert told == [("asl-winning-01-fold0-1", [0, 1], 2), ("asl-winning-03-seed1-2", [1, 2], 2),
                    ("asl-winning-03-seed3", [3], 1)]


def test_the_code_travels_as_a_data_set(written, tmp_path):
    folder = tmp_path / "out" / "dataset"
    assert json.loads((folder / "dataset-metadata.json").read_text())["id"] == "signer/asl-winning-kit"
    assert (folder / "aslutils/__init__.py").is_file() and (folder / "params/winning/03_fullfit.yaml").is_file()
    assert not list(folder.rglob("*.pyc"))


def test_a_parameter_that_the_notebook_lacks_is_an_error_with_the_nearest_name(kit, tmp_path):
    change(kit, "03_fullfit", epochz=400)
    with pytest.raises(ValueError, match="03_fullfit.yaml: there is no parameter 'epochz'; did you mean 'epochs'"):
        winning(kit)


def test_a_kernel_that_would_publish_without_internet_is_refused_before_anything_is_trained(kit):
    change(kit, "05_submission_kernel", push=True)
    with pytest.raises(ValueError, match="05_submission_kernel.yaml: push is true, but kernels run without internet"):
        winning(kit)


def test_a_long_run_name_is_an_error(kit):
    with pytest.raises(ValueError, match="give the run a shorter name"):
        winning(kit, run="a-run-with-a-very-long-name-indeed")


def note(server, reference, *, finished=True, progress=""):
    """What a kernel leaves when its notebook reaches the end."""
    server.kernels[reference].output["winning/session.json"] = json.dumps(
        {"stage": "", "finished": finished, "progress": progress}).encode()


def all_well(server, reference, request):
    note(server, reference)
    return ["RUNNING", "COMPLETE"] if "seed" in reference else ["COMPLETE"]


@pytest.fixture
def one(written):
    """A plan of one training alone, seed 1."""
    return [dataclasses.replace(kernel, needs=()) for kernel in written if kernel.name == "03_fullfit_seed1"]


@pytest.fixture
def run(kaggle_server, tmp_path, monkeypatch):
    """Run a plan's kernels; the code counts as published, which a test of its own does for real."""
    def run(kernels, **options):
        monkeypatch.setattr("aslutils.kaggle.cluster.publish", lambda *_, **__: "")
        with alone(tmp_path / "out"):
            Cluster(kernels, tmp_path / "out", "signer", poll=0.01, **options).run()
    return run


def test_stages_are_pushed_in_order_with_seeds_side_by_side(kaggle_server, written, tmp_path):
    kaggle_server.on_push = all_well
    names = ("00_prepare", "03_fullfit_seed1", "03_fullfit_seed2", "04_convert_tflite")
    kernels = [dataclasses.replace(kernel, needs=tuple(name for name in kernel.needs if name in names))
               for kernel in written if kernel.name in names]
    Cluster(kernels, tmp_path / "out", "signer", poll=0.01).run()
    seen = [(method, request.get("slug") or f"{request['userName']}/{request['kernelSlug']}")
            for method, request in kaggle_server.calls if method in ("SaveKernel", "GetKernelSessionStatus")]
    assert [slug for method, slug in seen if method == "SaveKernel"] == [f"signer/{kernel.slug}" for kernel in kernels]
    assert seen.index(("SaveKernel", SEED2)) < seen.index(("GetKernelSessionStatus", SEED1))        # side by side
    assert seen.index(("SaveKernel", "signer/asl-winning-04")) > max(
        index for index, entry in enumerate(seen) if entry == ("GetKernelSessionStatus", SEED2))    # and waited for
    request = kaggle_server.kernels[SEED2].pushes[0]
    assert request["enableGpu"] and not request.get("enableInternet") and request["machineShape"] == "NvidiaTeslaT4"
    assert injected(request["text"])["seeds"] == [2]
    (version,) = kaggle_server.datasets["signer/asl-winning-kit"].versions
    assert set(version) == {"aslutils.zip", "notebooks.zip", "params.zip"}
    kaggle_server.calls.clear()
    Cluster(kernels, tmp_path / "out", "signer").run()            # started again: all is done
    assert kaggle_server.calls == []


def test_a_training_out_of_time_goes_on_in_a_later_session_and_the_next_stage_reads_that_one(kaggle_server, written, one, run):
    def three_sessions(server, reference, request):
        sessions = sum(slug.startswith(SEED1) for slug in server.kernels)
        note(server, reference, finished=not reference.startswith(SEED1) or sessions == 3, progress=f"{sessions * 9} epochs")
        return ["COMPLETE"]
    kaggle_server.on_push = three_sessions
    run([*one, dataclasses.replace(written[-2], needs=(one[0].name,))])
    kernels = kaggle_server.kernels
    assert [*kernels] == [SEED1, f"{SEED1}-session2", f"{SEED1}-session3", "signer/asl-winning-04"]
    assert kernels[f"{SEED1}-session2"].pushes[0]["kernelDataSources"] == [SEED1]
    assert kernels[f"{SEED1}-session3"].pushes[0]["kernelDataSources"] == [f"{SEED1}-session2"]
    assert injected(kernels[f"{SEED1}-session3"].pushes[0]["text"]) == injected(kernels[SEED1].pushes[0]["text"])
    assert kernels["signer/asl-winning-04"].pushes[0]["kernelDataSources"] == [f"{SEED1}-session3"]


def test_a_training_that_kaggle_cut_off_goes_on_too(kaggle_server, one, run):
    def cut_off(server, reference, request):
        if reference == SEED1:
            server.kernels[reference].failure = "Your notebook was stopped: it exceeded the max allowed execution duration."
            return ["ERROR"]
        return all_well(server, reference, request)
    kaggle_server.on_push = cut_off
    run(one)
    assert [*kaggle_server.kernels] == [SEED1, f"{SEED1}-session2"]


def test_a_session_that_gets_nowhere_is_an_error_and_the_next_start_pushes_that_session_again(kaggle_server, one, run):
    def stuck(server, reference, request):
        note(server, reference, finished=False, progress="7 epochs")
        return ["COMPLETE"]
    kaggle_server.on_push = stuck
    with pytest.raises(KaggleError, match="session 2 got no further than the previous one .7 epochs."):
        run(one)
    kaggle_server.on_push = all_well
    run(one)
    assert {name: len(kernel.pushes) for name, kernel in kaggle_server.kernels.items()} == {SEED1: 1, f"{SEED1}-session2": 2}
    assert kaggle_server.kernels[f"{SEED1}-session2"].pushes[-1]["kernelDataSources"] == [SEED1]


def test_a_failing_kernel_stops_with_its_logs_end_and_is_pushed_again_alone(kaggle_server, written, one, run, tmp_path):
    def broken(server, reference, request):
        if reference == "signer/asl-winning-02":
            server.kernels[reference].failure = "Notebook threw exception"
            server.kernels[reference].log = json.dumps(
                [{"stream_name": "stderr", "time": 1, "data": "Traceback\n"},
                 {"stream_name": "stderr", "time": 2, "data": f"KeyError: 'score' {server.key}\n"}])
            return ["ERROR"]
        return all_well(server, reference, request)
    kaggle_server.on_push = broken
    kernels = [*one, dataclasses.replace(written[3], needs=(one[0].name,))]
    with pytest.raises(KaggleError, match=r"(?s)asl-winning-02 failed.*threw exception.*KeyError: 'score' \*\*\*") as caught:
        run(kernels)
    assert kaggle_server.key not in str(caught.value)
    assert (tmp_path / "out/02_build_oof/log.txt").read_text() == "Traceback\nKeyError: 'score' ***\n"
    kaggle_server.on_push = all_well
    run(kernels)
    assert {name: len(kernel.pushes) for name, kernel in kaggle_server.kernels.items()} == {SEED1: 1, "signer/asl-winning-02": 2}


def test_a_log_keeps_its_lines_when_a_bar_stands_in_it_and_a_failure_is_told_without_one(kaggle_server, one, run, tmp_path):
    def broken(server, reference, request):
        server.kernels[reference].log = json.dumps([{"data": "batches: 10%|#   | 1/9\n"}, {"data": "KeyError: 'score'\n"}])
        return ["ERROR"]
    kaggle_server.on_push = broken
    with pytest.raises(KaggleError, match="KeyError: 'score'"):
        run(one)
    kaggle_server.fail("ListKernelSessionOutput", (404, "no log of it"))
    with pytest.raises(KaggleError, match=r"(?s)03-seed1 failed.*Kaggle does not return it.*404.*push signer/\S+ again"):
        run(one)
    kaggle_server.on_push = all_well
    run(one)
    assert len(kaggle_server.kernels[SEED1].pushes) == 3


def test_two_at_once_would_push_everything_twice_so_the_second_is_refused(kaggle_server, one, run, tmp_path):
    with locked(tmp_path / "out", RuntimeError), pytest.raises(KaggleError, match=rf"process {os.getpid()} is already"):
        run(one)
    assert kaggle_server.calls == []


def test_while_kernels_are_pushed_a_second_command_writes_nothing(kaggle_server, tmp_path, capsys):
    given = ["kaggle", "kernels", "--profile", "demo", "--user", "signer", "--out", str(tmp_path / "out"), "--no-packages"]
    with locked(writable(tmp_path / "out"), RuntimeError):
        assert main(given) == main([*given, "--push"]) == 1
    assert capsys.readouterr().err.count("is already pushing these kernels") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK] and kaggle_server.calls == []


def test_a_rehearsal_on_made_up_hands_does_not_count_as_the_competitions_run(tmp_path):
    data = [plan(KIT / "params" / "winning", run="winning", seeds=[], processes=1, minutes=500, competition=competition)
            for competition in (True, False)]
    for kernels in zip(*data):
        assert len({_digest(kernel) for kernel in kernels}) == 2


def test_a_fresh_start_at_every_session_is_refused(kit):
    change(kit, "03_fullfit", fresh=True)
    with pytest.raises(ValueError, match="03_fullfit.yaml: fresh is true, so that each session would begin anew"):
        plan(kit / "params/winning", run="winning", seeds=[], processes=1, minutes=500, competition=True, kit=kit)


@pytest.mark.parametrize("names", [("v1.0", "v1-0"), ("my_run", "my-run", "My.Run")])
def test_runs_of_similar_names_have_kernels_of_their_own(names):
    addresses = [[kernel.slug for kernel in plan(KIT / "params" / "demo", run=name, seeds=[], processes=1, minutes=500,
                                                 competition=False)] for name in names]
    assert len({slug for slugs in addresses for slug in slugs}) == sum(map(len, addresses))


def test_a_notebook_that_ends_without_its_last_cell_is_a_failure(kaggle_server, one, run):
    kaggle_server.on_push = lambda server, reference, request: ["COMPLETE"]
    with pytest.raises(KaggleError, match="03-seed1 failed: it ended before its last cell"):
        run(one)


def test_when_kaggle_runs_no_more_sessions_at_once_a_kernel_waits_its_turn(kaggle_server, one, run):
    kaggle_server.on_push = all_well
    kaggle_server.fail("SaveKernel", *[{"error": "Maximum batch GPU session count of 2 reached.", "ref": ""}] * 2)
    run(one)
    assert kaggle_server.methods().count("SaveKernel") == 3 and len(kaggle_server.kernels[SEED1].pushes) == 1


def test_a_spent_gpu_quota_says_to_start_again_later(kaggle_server, one, run):
    kaggle_server.fail("SaveKernel", {"error": "Your weekly GPU quota of 30.00 hours is spent.", "ref": ""})
    with pytest.raises(KaggleError, match="(?s)weekly GPU quota.*Start the same command again"):
        run(one)


def test_a_source_that_kaggle_does_not_know_is_an_error_although_the_client_ends_with_0(kaggle_server, one, run):
    kaggle_server.fail("SaveKernel", {"ref": "x", "url": "https://www.kaggle.com/code/x", "versionNumber": 1, "error": "",
                                      "invalidCompetitionSources": ["asl-fingerspelling"]})
    with pytest.raises(KaggleError, match="(?s)accept the competition's rules.*not valid competition sources"):
        run(one)


def test_a_look_that_kaggle_does_not_answer_is_taken_again(kaggle_server, one, run, capsys):
    kaggle_server.on_push = all_well
    kaggle_server.fail("GetKernelSessionStatus", (503, "overloaded"), (502, "bad gateway"))
    run(one)
    assert capsys.readouterr().out.count("Retrying in") == 2


def test_a_kaggle_that_stays_away_is_an_error_in_the_end_and_the_next_start_goes_on(kaggle_server, one, run, monkeypatch):
    monkeypatch.setattr("aslutils.kaggle.cluster.PATIENCE", 1)
    kaggle_server.on_push = all_well
    kaggle_server.fail("GetKernelSessionStatus", *[(503, "overloaded")] * 2)
    with pytest.raises(KaggleError, match="is not responding properly"):
        run(one)
    run(one)
    assert len(kaggle_server.kernels[SEED1].pushes) == 1


def test_a_training_that_never_ends_is_an_error(kaggle_server, one, run):
    def endless(server, reference, request):
        note(server, reference, finished=False, progress=f"{len(server.kernels)} epochs")
        return ["COMPLETE"]
    kaggle_server.on_push = endless
    with pytest.raises(KaggleError, match=r"it has not finished after 2 sessions \(2 epochs\)"):
        run(one, sessions=2)


def test_a_changed_parameter_trains_again_from_there_on_and_a_changed_session_length_does_not(kaggle_server, kit, run, tmp_path):
    wanted = ("02_build_oof", "03_fullfit_seed1", "04_convert_tflite")

    def pushed(**options):
        kernels = winning(kit, **options)
        write_kernels(kernels, tmp_path / "out", "signer", kit=kit, packages=False)
        kaggle_server.calls.clear()
        run([dataclasses.replace(kernel, needs=tuple(name for name in kernel.needs if name in wanted))
             for kernel in kernels if kernel.name in wanted])
        return [request["slug"] for method, request in kaggle_server.calls if method == "SaveKernel"]
    kaggle_server.on_push = all_well
    assert pushed() == ["signer/asl-winning-02", SEED1, "signer/asl-winning-04"]
    assert pushed(minutes=300) == []
    change(kit, "03_fullfit", epochs=500)
    assert pushed() == [SEED1, "signer/asl-winning-04"]


def test_the_kits_own_notebooks_take_the_winning_parameters(tmp_path):
    kernels = winning(KIT)
    write_kernels(kernels, tmp_path / "out", "signer", packages=False)
    assert [kernel.notebook for kernel in kernels].count("01_round1_folds") == 4
    seed2 = injected((tmp_path / "out/03_fullfit_seed2/03_fullfit.ipynb").read_text())
    assert seed2["seeds"] == [2] and seed2["run"] == "winning" and seed2["epochs"] == 400


def test_the_command_writes_the_kernels_and_says_where(tmp_path, capsys):
    assert main(["kaggle", "kernels", "--user", "signer", "--no-packages", "--out", str(tmp_path / "out")]) == 0
    assert str(tmp_path / "out") in capsys.readouterr().out
    assert main(["kaggle", "kernels", "--user", "no name", "--out", str(tmp_path / "out")]) == 1
    assert "not a valid Kaggle name" in capsys.readouterr().err
