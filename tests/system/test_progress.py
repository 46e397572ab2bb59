"""The progress bar also tells whoever started the process."""

from aslutils.system.progress import progress


def test_keeps_its_line_in_the_file_that_the_environment_names(tmp_path, monkeypatch):
    path = tmp_path / "progress.txt"
    monkeypatch.setenv("ASLUTILS_PROGRESS", str(path))
    with progress(total=40, what="training fold 0", unit="sequences") as bar:
        bar.set_postfix_str("loss 1.5")
        bar.update(40)
    assert path.read_text().startswith("training fold 0: 40/40 sequences")
    assert "loss 1.5" in path.read_text()


def test_a_full_disk_does_not_end_what_is_told_about(monkeypatch):
    monkeypatch.setenv("ASLUTILS_PROGRESS", "/dev/full")
    with progress(total=2, what="training fold 0", unit="sequences") as bar:
        bar.update(2)
    assert bar.n == 2


def test_counts_an_iterable_without_telling_anyone(monkeypatch):
    monkeypatch.delenv("ASLUTILS_PROGRESS", raising=False)
    assert list(progress(range(3), what="reading", unit="files")) == [0, 1, 2]
