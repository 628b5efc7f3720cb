import pytest

from gradcube.errors import ConfigError
from gradcube_cube.settings import CubeSettings


@pytest.mark.parametrize(
    ("old", "new"),
    [("GRADCUBE_CUBE_DATABASE", "GRADCUBE_CUBE_STORE"), ("GRADCUBE_CUBE_CUBE_FILE", "GRADCUBE_CUBE_CUBES")],
)
def test_variable_of_an_earlier_version_names_the_one_to_set(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    monkeypatch.setenv(old, "/somewhere")
    with pytest.raises(ConfigError, match=f"{old} is no longer read.*{new}"):
        CubeSettings.load()


@pytest.mark.parametrize(("text", "memory_bytes"), [("700MB", 700_000_000), ("2GB", 2_000_000_000)])
def test_memory_limit_is_in_bytes(text: str, memory_bytes: int) -> None:
    assert CubeSettings.load(memory_limit=text).memory_bytes == memory_bytes


def test_kept_answer_fits_among_those_that_are_kept() -> None:
    assert CubeSettings.load(result_bytes=10_000, kept_bytes=2_000).async_limits.result_bytes == 2_000
