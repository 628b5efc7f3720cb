import sysconfig
from pathlib import Path

import pytest

from gradcube.errors import DataError
from gradcube_trainer.corpus import read_corpus

LIMIT = 10_000


def test_texts_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "second.md").write_text("second")
    (tmp_path / "a.txt").write_text("first é")
    corpus = read_corpus(tmp_path, limit_bytes=LIMIT)
    assert corpus.texts == ("first é", "second")
    assert corpus.name == tmp_path.name
    assert corpus.skipped == {}


def test_empty_and_binary_files_are_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "blank").write_bytes(b" \n\t\n")
    (tmp_path / "nul").write_bytes(b"text\0text")
    (tmp_path / "latin").write_bytes("façade".encode("latin-1"))
    (tmp_path / "good").write_text("good")
    corpus = read_corpus(tmp_path, limit_bytes=LIMIT)
    assert corpus.texts == ("good",)
    assert corpus.skipped == {"empty": 2, "binary": 2}


def test_nothing_but_binary_files_is_an_error_that_names_folder_and_counts(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\0\1\2")
    (tmp_path / "two").write_bytes(b"\xff\xfe\xfd")
    (tmp_path / "three").write_bytes(b"")
    with pytest.raises(DataError, match=r"3 files skipped \(2 binary, 1 empty\)") as caught:
        read_corpus(tmp_path, limit_bytes=LIMIT)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 65


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds no files"):
        read_corpus(tmp_path, limit_bytes=LIMIT)


@pytest.mark.parametrize("make_file", [False, True])
def test_a_missing_folder_or_a_file_is_an_error(tmp_path: Path, make_file: bool) -> None:
    path = tmp_path / "text"
    if make_file:
        path.write_text("text")
    with pytest.raises(DataError, match="is not a folder: set GRADCUBE_TRAINER_DATA_DIR"):
        read_corpus(path, limit_bytes=LIMIT)


@pytest.mark.parametrize("limit_bytes", [4, 5, 6, 7])
def test_reading_stops_at_the_limit_between_characters(tmp_path: Path, limit_bytes: int) -> None:
    (tmp_path / "a").write_text("abé€")
    (tmp_path / "b").write_text("never read")
    (text, *rest) = read_corpus(tmp_path, limit_bytes=limit_bytes).texts
    assert text == {4: "abé", 5: "abé", 6: "abé", 7: "abé€"}[limit_bytes]
    assert all(len(part) <= limit_bytes - len(text.encode()) for part in rest)


def test_the_default_corpus_is_the_standard_librarys_own_sources() -> None:
    corpus = read_corpus(Path(sysconfig.get_path("stdlib")), limit_bytes=200_000)
    assert corpus.name == "python-standard-library"
    assert any("Abstract Base Classes" in text for text in corpus.texts)
    assert sum(len(text.encode()) for text in corpus.texts) <= 200_000
