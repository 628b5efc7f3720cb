import json
import urllib.error
import urllib.request

from prometheus_client import CollectorRegistry

from gradcube.health import HealthServer


def get(port: int, path: str) -> tuple[int, object]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def server(**hooks: object) -> HealthServer:
    return HealthServer("127.0.0.1", 0, checks=dict, status=dict, registry=CollectorRegistry(), **hooks)


def test_live_says_what_the_process_says_of_itself() -> None:
    works = [True]
    with server(live=lambda: works[0]) as health:
        assert get(health.port, "/live") == (200, {"live": True})
        works[0] = False
        assert get(health.port, "/live") == (503, {"live": False})
        assert get(health.port, "/ready")[0] == 200, "the one says nothing of the other"


def test_a_process_without_a_check_is_live_while_it_answers() -> None:
    with server() as health:
        assert get(health.port, "/live") == (200, {"live": True})
