import json
import stat
from pathlib import Path

import pytest

from gradcube.errors import ConfigError
from gradcube.kylin.accounts import ADMIN, GATEWAY, make_accounts, password
from gradcube.kylin.configuration import write_configuration
from gradcube.kylin.settings import KylinSettings
from gradcube.kylin.supervisor import require_directory


def properties(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if line)


def test_processes_find_each_other_on_the_loopback_address(tmp_path: Path) -> None:
    settings = KylinSettings.load(
        directory=tmp_path, zookeeper_port=21810, server_port=7171, receiver_port=9191, receivers=2
    )
    write_configuration(settings)
    zookeeper = properties(tmp_path / "conf" / "zookeeper.properties")
    assert (zookeeper["clientPortAddress"], zookeeper["clientPort"]) == ("127.0.0.1", "21810")
    server = properties(tmp_path / "conf" / "server" / "kylin.properties")
    same = {"kylin.server.host-address", "kylin.server.cluster-servers", "kylin.stream.node"}
    assert {server[name] for name in same} == {"127.0.0.1:7171"}
    receivers = [properties(tmp_path / "conf" / f"receiver-{n}" / "kylin.properties") for n in range(2)]
    assert [one["kylin.stream.node"] for one in receivers] == ["127.0.0.1:9191", "127.0.0.1:9192"]
    assert len({one["kylin.stream.index.path"] for one in receivers}) == 2
    for one in (server, *receivers):
        assert one["kylin.env.zookeeper-connect-string"] == "127.0.0.1:21810"
        assert one["kylin.stream.consume.offsets.latest"] == "false"
        assert not any("$" in value for value in one.values())


def test_receivers_know_every_version_of_every_schema(tmp_path: Path) -> None:
    write_configuration(KylinSettings.load(directory=tmp_path))
    known = json.loads((tmp_path / "conf" / "receiver-0" / "schemas.json").read_text())
    assert {(one["id"], one["name"], one["version"]) for one in known} >= {
        (3, "ResourceSample", 1), (10, "ResourceSample", 2),
    }  # fmt: skip
    assert all(one["schema"]["type"] == "record" for one in known)


def test_passwords_are_made_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    accounts = make_accounts(tmp_path)
    first = {name: password(tmp_path, name) for name in (ADMIN, GATEWAY)}
    assert len(set(first.values())) == 2
    assert all(len(word) >= 32 and word not in ("KYLIN", "ANALYST") for word in first.values())
    lines = [line.split(" ") for line in make_accounts(tmp_path).read_text().splitlines()]
    assert {name: word for name, word, _ in lines} == first
    assert {name: "ROLE_ADMIN" in roles for name, _, roles in lines} == {ADMIN: True, GATEWAY: False}
    for path in (accounts, *tmp_path.glob("password-*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["with space", "a$b", "a@b", "a,b", 'a"b'])
def test_folder_that_kylin_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    require_directory(tmp_path)
    with pytest.raises(ConfigError, match="Kylin misreads"):
        require_directory(tmp_path / name)
