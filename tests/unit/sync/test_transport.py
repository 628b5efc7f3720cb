from contextlib import closing

import pytest

from gradcube.errors import PeerLost
from gradcube.sync.transport import TcpListener, connect


def test_connection_that_was_closed_here_is_lost_and_no_other_error() -> None:
    with closing(TcpListener("127.0.0.1", 0)) as listener:
        connection = connect(f"127.0.0.1:{listener.port}", timeout_seconds=10)
        connection.close()
        with pytest.raises(PeerLost, match="closed here"):
            connection.set_timeout(1.0)
