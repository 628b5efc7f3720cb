"""topics.yaml is read whole or refused with its name."""

from pathlib import Path

import pytest

from gradcube.bus.topics import load_topics
from gradcube.errors import ConfigError


def test_every_topic_that_is_read_has_dead_letters_of_one_partition() -> None:
    specs = load_topics()
    sources = [name for name in specs if not name.startswith("dlq.")]
    assert [f"dlq.{name}" for name in sources] == [name for name in specs if name.startswith("dlq.")]
    for name in sources:
        letters = specs[f"dlq.{name}"]
        assert letters.partitions == 1
        assert letters.key == specs[name].key
        # What the source takes must fit with the headers that say why it is here.
        assert int(letters.config["max.message.bytes"]) > int(specs[name].config.get("max.message.bytes", 1048588))


def test_own_config_is_added_to_the_defaults() -> None:
    steps = load_topics()["gradcube.steps"]
    assert (steps.partitions, steps.replication, steps.schema) == (16, 3, "StepSync")
    assert steps.config["message.timestamp.type"] == "LogAppendTime"
    assert steps.config["compression.type"] == "producer"
    assert all(isinstance(value, str) for value in steps.config.values())


def test_what_is_joined_by_partition_number_has_equally_many() -> None:
    specs = load_topics()
    assert len({specs[f"gradcube.{name}"].partitions for name in ("partials", "facts", "findings")}) == 1


@pytest.mark.parametrize("text", ["", "[]", "topics: {a: {}}", "topics: 3\ndefaults: {replication: 1}", "a: [", "\x00"])
def test_other_content_is_refused_with_the_files_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"topics\.yaml"):
        load_topics(path)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load_topics(tmp_path / "absent.yaml")
