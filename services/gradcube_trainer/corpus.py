"""Training text: a folder comes in, the texts of its files go out; what is no text is skipped and counted."""

import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gradcube.errors import DataError

LIBRARY_SKIPS = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "encodings"})
"""Folders of the standard library that teach nothing: other people's packages, tests and character tables."""


@dataclass(frozen=True)
class Corpus:
    """Texts in the order of their paths, and how many files were skipped, by reason."""

    name: str
    texts: tuple[str, ...]
    skipped: Mapping[str, int]


def read_corpus(directory: Path, *, limit_bytes: int) -> Corpus:
    """Reads UTF-8 text files below `directory` by path order, until `limit_bytes` of text.

    Of the standard library only its .py sources are read. Raises DataError when there is no text to train on.
    """
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder: set GRADCUBE_TRAINER_DATA_DIR to a folder of text files")
    skipped: Counter[str] = Counter()
    texts: list[str] = []
    left_bytes = limit_bytes
    for path in _files(directory):
        text = _read_text(path, left_bytes, skipped)
        if text is not None:
            texts.append(text)
            left_bytes -= len(text.encode())
        if left_bytes <= 0:
            break
    if not texts:
        raise DataError(_explain(directory, skipped))
    name = "python-standard-library" if _is_library(directory) else directory.resolve().name
    return Corpus(name, tuple(texts), dict(skipped))


def _files(directory: Path) -> Iterator[Path]:
    pattern, skips = ("*.py", LIBRARY_SKIPS) if _is_library(directory) else ("*", frozenset[str]())
    for path in sorted(directory.rglob(pattern), key=lambda path: path.relative_to(directory).as_posix()):
        if not skips.intersection(path.relative_to(directory).parts) and path.is_file():
            yield path


def _is_library(directory: Path) -> bool:
    return directory.resolve() == Path(sysconfig.get_path("stdlib")).resolve()


def _read_text(path: Path, limit_bytes: int, skipped: Counter[str]) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(limit_bytes + 1)
    except OSError:
        skipped["unreadable"] += 1
        return None
    text = _decode(raw[:limit_bytes], cut=len(raw) > limit_bytes)
    if text is None:
        skipped["binary"] += 1
    elif not text.strip():
        skipped["empty"] += 1
    else:
        return text
    return None


def _decode(raw: bytes, *, cut: bool) -> str | None:
    if b"\0" in raw:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # The limit may have cut the last character; anything else that is not UTF-8 is not text.
        return raw[: error.start].decode("utf-8") if cut and len(raw) - error.start < 4 else None


def _explain(directory: Path, skipped: Counter[str]) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    found = f"{sum(skipped.values())} files skipped ({counts})" if counts else "it holds no files"
    return f"no text to train on in {directory}: {found}; give a folder with UTF-8 text files"
