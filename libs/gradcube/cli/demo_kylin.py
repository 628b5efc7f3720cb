"""The demo's own Apache Kylin: started before the services, filled from their broker, gone with them."""

from pathlib import Path

from gradcube.cli import output, processes
from gradcube.cli.local_kylin import READY_SECONDS, STOP_SECONDS, LocalKylin, fetch_kylin
from gradcube.cli.processes import LocalProcess
from gradcube.cube.deploy.plan import carry_out, plan
from gradcube.cube.model import Catalog, load_catalog
from gradcube.kylin.definitions import held
from gradcube.settings import KafkaSettings


class DemoKylin:
    """`DemoKylin(folder)` starts it, and returns when it answers."""

    def __init__(self, folder: Path) -> None:
        self._kylin = LocalKylin(folder)
        with output.err.status("fetching Kylin") as shown:
            fetch_kylin(shown.update)
            shown.update("starting Kylin")
            self._process: LocalProcess = self._kylin.start(1, with_parent=True)
            try:
                processes.wait_ready(self._process, READY_SECONDS)
            except BaseException:
                self.stop()
                raise

    @property
    def gateway_settings(self) -> dict[str, str]:
        """For a gateway that asks it, and waits for what the books must find there."""
        settings = self._kylin.gateway_settings(self._process.address)
        return {**settings, "GRADCUBE_CUBE_KYLIN_WHEN_BEHIND": "wait", "GRADCUBE_CUBE_KYLIN_LAG_RECORDS": "0"}

    def deploy(self, kafka: KafkaSettings) -> None:
        """All that it can hold of that broker, whose topics are there."""
        declared = load_catalog()
        catalog = Catalog({name: declared.cubes[name] for name in held(declared)})
        engine = self._kylin.deployment(self._process.address, catalog, kafka.bootstrap)
        carry_out(engine, plan(catalog, engine.deployed()).steps, lambda _: None)

    def stop(self) -> None:
        """Nothing of it runs afterwards."""
        processes.stop([self._process], STOP_SECONDS)
