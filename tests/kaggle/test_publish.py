"""Publishing with the real, unpatched kaggle client against a stand-in server."""

import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from kaggle_server import DEAD

from aslutils.kaggle import client
from aslutils.kaggle.card import write_model_card
from aslutils.kaggle.client import KaggleError, username
from aslutils.kaggle.publish import publish, publish_commands, write_dataset_metadata
from aslutils.reading.recognizer import OWN_MODEL
from aslutils.reading.tflite import FIXED
from aslutils.task.text import CHARACTERS

pytestmark = pytest.mark.slow

FACTS = {"score": 0.8123, "scored_on": "12 participants held out", "megabytes": 7.3, "mean_ms": 37.0, "p95_ms": 61.5,
         "parameters": {"dim": 96, "epochs": 40}}


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"model" * 40_000)
    (folder / "inference_args.json").write_text('{"selected_columns": []}')
    write_dataset_metadata(folder, title="Fingerspelling model", slug="fingerspelling-model", user="signer")
    return folder


def fast(folder, **options):
    return publish(folder, poll=0.01, **options)


def test_the_first_time_creates_and_afterwards_versions(kaggle_server, export):
    assert fast(export) == "https://www.kaggle.com/datasets/signer/fingerspelling-model"
    dataset = kaggle_server.datasets["signer/fingerspelling-model"]
    assert (dataset.title, dataset.license, dataset.private) == ("Fingerspelling model", "apache-2.0", True)
    assert dataset.versions[0] == {name: (export / name).read_bytes() for name in ("model.tflite", "inference_args.json")}
    (export / "model.tflite").write_bytes(b"better")
    kaggle_server.pending = ["READY", "READY"]                    # for a while Kaggle still speaks of the version before
    fast(export, message="Trained longer")
    assert len(dataset.versions) == 2 and dataset.versions[1]["model.tflite"] == b"better"
    assert dict(kaggle_server.calls)["CreateDatasetVersion"]["body"]["versionNotes"] == "Trained longer"
    assert not dataset.pending                                    # it was waited for


def test_an_upload_answered_with_503_goes_on_where_it_stopped(kaggle_server, export):
    kaggle_server.cut_uploads.extend([1000, 70_000])
    fast(export)
    assert kaggle_server.datasets["signer/fingerspelling-model"].versions[0]["model.tflite"] == b"model" * 40_000
    sent = sum(size for _, size in kaggle_server.received)
    assert sent == 200_000 + len('{"selected_columns": []}')      # no byte twice


def test_a_client_killed_in_mid_upload_is_gone_on_with_by_the_next_call(kaggle_server, export):
    (export / "inference_args.json").unlink()
    kaggle_server.hold = threading.Event()
    killed = subprocess.Popen([sys.executable, "-P", "-m", "kaggle", "datasets", "create", "-p", export],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert kaggle_server.held.wait(20)
    killed.kill()
    killed.wait()
    kaggle_server.hold.set()
    kaggle_server.hold = None
    fast(export)
    assert kaggle_server.received == [("model.tflite", 100_000)]  # the other half was there already
    assert kaggle_server.datasets["signer/fingerspelling-model"].versions[0]["model.tflite"] == b"model" * 40_000


def test_a_server_error_says_try_again_and_the_retry_sends_no_byte_twice(kaggle_server, export):
    kaggle_server.fail("CreateDataset", (500, "we are sorry"))
    with pytest.raises(KaggleError, match=r"(?s)later.*500 Server Error.*resumes where it stopped") as caught:
        fast(export)
    assert caught.value.kind == "server"
    kaggle_server.received.clear()
    fast(export)
    assert kaggle_server.received == []
    assert len(kaggle_server.datasets["signer/fingerspelling-model"].versions[0]) == 2


def test_an_upload_that_failed_is_an_error_although_the_client_ends_with_0(kaggle_server, export):
    kaggle_server.fail("PUT model.tflite", (400, ""))
    with pytest.raises(KaggleError, match=r"(?s)Upload unsuccessful: model.tflite.*Start the upload again"):
        fast(export)
    fast(export)                                                  # the retry mends it
    assert "model.tflite" in kaggle_server.datasets["signer/fingerspelling-model"].versions[-1]


def test_a_title_already_taken_is_an_error_with_the_clients_words(kaggle_server, export):
    fast(export)
    write_dataset_metadata(export, title="Fingerspelling model", slug="another-address", user="signer")
    with pytest.raises(KaggleError, match=r"(?s)already in use by a dataset.*another title and slug"):
        fast(export)


def test_somebody_elses_data_set_is_refused_in_the_clients_words(kaggle_server, export):
    write_dataset_metadata(export, title="Fingerspelling model", slug="fingerspelling-model", user="somebody-else")
    with pytest.raises(KaggleError, match="403 Client Error") as refused:
        fast(export)
    assert refused.value.kind == "refused" and "accept the competition's rules" not in str(refused.value)


def test_kaggles_own_failure_after_the_upload_is_an_error(kaggle_server, export):
    kaggle_server.pending = ["FAILED"]
    with pytest.raises(KaggleError, match="took the files but reports .* failed"):
        fast(export)


def test_waiting_ends_with_what_kaggle_said_last(kaggle_server, export):
    kaggle_server.pending = ["BLOBS_RECEIVED"] * 9
    with pytest.raises(KaggleError, match="still reports blobs_received"):
        fast(export, minutes=0)


@pytest.mark.parametrize("variables", [{"KAGGLE_USERNAME": "signer", "KAGGLE_KEY": "a-key-of-last-year"},
                                       {"KAGGLE_API_TOKEN": "a-token-of-last-year"}], ids=["key", "token"])
def test_an_expired_credential_says_so_and_is_not_shown(kaggle_server, export, monkeypatch, variables):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KaggleError, match="expired or revoked") as caught:
        fast(export)
    assert "last-year" not in str(caught.value) and caught.value.kind == "credentials"
    assert kaggle_server.datasets == {}


def test_no_credentials_says_how_to_get_some_and_asks_nothing_of_kaggle(kaggle_server, export, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(KaggleError, match="no Kaggle credentials.*kaggle.com/settings/api"):
        fast(export)
    assert kaggle_server.calls == []


def test_a_token_works_and_tells_whose_it_is(kaggle_server, export, monkeypatch, tmp_path):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    token = tmp_path / "token.txt"
    token.write_text(kaggle_server.token + "\n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(token))
    assert username() == "signer"
    assert kaggle_server.token in client.secrets()


def test_no_credential_reaches_output_or_error_even_when_the_client_prints_it(kaggle_server, export, monkeypatch, capfd):
    monkeypatch.setenv("VERBOSE", "true")                        # the client then prints every request with its headers
    kaggle_server.fail("CreateDataset", (500, f"your key {kaggle_server.key} displeased us"))
    with pytest.raises(KaggleError) as caught:
        fast(export)
    shown = capfd.readouterr()
    for text in (str(caught.value), shown.out, shown.err):
        assert kaggle_server.key not in text
        assert "c2lnbmVyOmtleS" not in text                       # the beginning of base64("signer:key-...")


@pytest.fixture(params=[("KAGGLE_API_TOKEN",), ("KAGGLE_USERNAME", "KAGGLE_KEY")], ids=["token", "key"])
def vault(request, kaggle_server, monkeypatch, tmp_path):
    """A Kaggle notebook with these Secrets and no other credentials."""
    kept = {"KAGGLE_API_TOKEN": kaggle_server.token, "KAGGLE_USERNAME": kaggle_server.user, "KAGGLE_KEY": kaggle_server.key}
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    image = tmp_path / "image"
    image.mkdir()
    (image / "kaggle_secrets.py").write_text("class UserSecretsClient:\n    def get_secret(self, name):\n"
                                             f"        return {({name: kept[name] for name in request.param})!r}[name]\n")
    monkeypatch.syspath_prepend(image)
    monkeypatch.delitem(sys.modules, "kaggle_secrets", raising=False)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    client.vault.cache_clear()
    yield kaggle_server
    client.vault.cache_clear()


def test_a_kaggle_notebooks_secrets_are_used_and_kept(vault, export):
    assert fast(export).endswith("signer/fingerspelling-model")
    (header,) = {request for request in vault.headers if request}
    assert client.scrub(f"Authorization: {header}").endswith(" ***")


def test_nothing_can_leave_for_the_real_kaggle(kaggle_server, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_ENVIRONMENT")                 # the client now calls https://api.kaggle.com
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    with pytest.raises(KaggleError, match="(?s)is internet on.*Unable to connect to proxy") as caught:
        client.run_client("datasets", "status", "signer/fingerspelling-model")
    assert caught.value.kind == "server" and kaggle_server.calls == []


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
def test_a_token_with_a_line_end_works_and_is_never_shown(kaggle_server, export, monkeypatch, end):
    monkeypatch.setenv("KAGGLE_API_TOKEN", kaggle_server.token + end)
    fast(export)
    kaggle_server.fail("GetDatasetStatus", (500, f"Bearer {kaggle_server.token}\\n"))
    with pytest.raises(KaggleError) as failed:
        fast(export)
    assert kaggle_server.token not in str(failed.value)


@pytest.mark.parametrize("said, kind", [
    ("The service is currently unavailable.\n\nThis is a problem on Kaggle's side, not with your command.", "server"),
    ("Too many requests\n\nYou have been rate limited. Wait a little while before retrying.", "server"),
    ("Permission denied\n\nYou don't have access to this resource.\nIf this is a competition, you may need to accept its rules "
     "first at", "refused"), ("Not found\n\nThe resource was not found.", "refused")])
def test_what_kaggle_answers_as_json_is_told_apart_by_the_clients_hints(said, kind):
    assert client._error(("datasets", "status"), said).kind == kind
    assert client._error(("competitions", "download"), said).kind == ("rules" if "rules" in said else kind)


def test_secrets_are_gathered_from_the_clients_files_too(kaggle_server, monkeypatch, tmp_path):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(folder))
    (folder / "kaggle.json").write_text('{"username": "signer", "key": "stored-key-77"}')
    (folder / "access_token").write_text("stored-token-88\n")
    (folder / "credentials.json").write_text('{"refresh_token": "stored-refresh-99"}')
    assert client.scrub("stored-key-77 stored-token-88 stored-refresh-99 model") == "*** *** *** model"
    assert username() == "signer"


def test_without_an_owner_the_commands_say_where_the_name_goes_and_publish_fills_it_in(kaggle_server, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    write_dataset_metadata(tmp_path, title="Fingerspelling model", slug="fingerspelling-model")
    assert "YOUR_KAGGLE_NAME" in publish_commands(tmp_path).splitlines()[0]
    monkeypatch.setenv("KAGGLE_USERNAME", "signer")
    monkeypatch.setenv("KAGGLE_KEY", kaggle_server.key)
    assert fast(tmp_path).endswith("signer/fingerspelling-model")
    assert json.loads((tmp_path / "dataset-metadata.json").read_text())["id"] == "signer/fingerspelling-model"


@pytest.mark.parametrize("variables", [{"KAGGLE_API_TOKEN": "a-token-of-last-year"},
                                       {"KAGGLE_API_TOKEN": "any", "HTTP_PROXY": DEAD, "http_proxy": DEAD}],
                         ids=["expired", "offline"])
def test_metadata_needs_nobodys_answer(kaggle_server, tmp_path, monkeypatch, variables):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    write_dataset_metadata(tmp_path, title="Fingerspelling model", slug="fingerspelling-model")
    assert "YOUR_KAGGLE_NAME" in publish_commands(tmp_path)
    with pytest.raises(KaggleError, match="expired or revoked|is not responding"):
        fast(tmp_path)


def test_the_printed_commands_do_by_hand_what_publish_does(kaggle_server, export):
    kaggle_server.pending = []
    create, version, status = (line.split("#")[0] for line in publish_commands(export, message="By hand").splitlines())
    for command, expected in ((create, "is being created"), (version, "version is being created"), (status, "ready")):
        run = command.replace("kaggle ", f"{sys.executable} -P -m kaggle ", 1)
        said = subprocess.run(run, shell=True, capture_output=True, text=True)
        assert said.returncode == 0 and expected in said.stdout
    assert len(kaggle_server.datasets["signer/fingerspelling-model"].versions) == 2


@pytest.mark.parametrize("wrong, words", [
    ({"title": "short"}, "has 5 characters; Kaggle takes 6 to 50"), ({"title": "x" * 51}, "51 characters"),
    ({"slug": "Bad Slug!"}, "such as 'bad-slug'"), ({"slug": "a--slug-of-mine"}, "such as 'a-slug-of-mine'"),
    ({"slug": "tiny"}, "6 to 50"), ({"user": "not a name"}, "not a valid Kaggle name"), ({"license": "MIT"}, "unknown to Kaggle"),
    ({"license": "Apache-2.0"}, "write 'apache-2.0'")])
def test_metadata_that_kaggle_would_refuse_is_refused_here(tmp_path, wrong, words):
    right = {"title": "Fingerspelling model", "slug": "fingerspelling-model", "user": "signer"}
    with pytest.raises(ValueError, match=words):
        write_dataset_metadata(tmp_path, **{**right, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_metadata_says_what_writes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="write_dataset_metadata"):
        publish(tmp_path)


def test_the_model_card_states_what_was_measured(tmp_path):
    text = write_model_card(tmp_path, {**FACTS, "agreement": "200 of 200", "per_sequence": [1, 2]}).read_text()
    assert "per sequence" not in text and f'CHARACTERS = "{CHARACTERS}"' in text
    for part in ("0.8123", "12 participants held out", "7.3", "37", "61.5", "| epochs | 40 |", "200 of 200", "serving_default"):
        assert part in text


def test_the_model_cards_program_reads_a_sequence(tmp_path):
    card = write_model_card(tmp_path, FACTS).read_text()
    for name in ("model.tflite", FIXED):
        shutil.copy(OWN_MODEL / FIXED, tmp_path / name)
    clip = np.load(OWN_MODEL / "clip.npy").astype(np.float32)
    np.save(tmp_path / "sequence.npy", np.pad(clip, ((0, 384 - len(clip)), (0, 0)), constant_values=np.nan))
    program = card.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "hello\n" * 2, done.stderr


def test_the_model_card_says_when_the_score_was_not_measured(tmp_path):
    assert "competition's rule | not measured |" in write_model_card(tmp_path, {**FACTS, "score": None}).read_text()


def test_the_model_card_refuses_to_be_written_without_a_measure(tmp_path):
    with pytest.raises(KeyError, match="lacks mean_ms: run the scorer"):
        write_model_card(tmp_path, {name: value for name, value in FACTS.items() if name != "mean_ms"})
    assert not (tmp_path / "README.md").exists()
