import asyncio

from tests.unit.test_health import get

from gradcube_metrics.pages import Pages, serve
from gradcube_metrics.settings import MetricsSettings


async def test_live_fails_while_the_event_loop_is_stuck_and_not_before() -> None:
    now = [0.0]
    pages = Pages(120, clock=lambda: now[0])
    beating = asyncio.create_task(pages.beat())
    with serve(MetricsSettings(), pages, _registry()) as health:
        await asyncio.sleep(0)
        now[0] += 119
        assert get(health.port, "/live")[0] == 200  # a call that blocks the loop, as what makes it stuck does
        now[0] += 2
        assert get(health.port, "/live")[0] == 503
    beating.cancel()


async def test_a_loop_that_comes_round_is_live_again() -> None:
    now = [0.0]
    pages = Pages(120, clock=lambda: now[0])
    now[0] = 500.0
    assert not pages.live()
    beating = asyncio.create_task(pages.beat())
    await asyncio.sleep(0)
    assert pages.live()
    beating.cancel()


def _registry() -> object:
    from prometheus_client import CollectorRegistry

    return CollectorRegistry()
