"""The embedded engine as a `Deployment`: a store's directory, opened for each step while no gateway has it open.

A gateway that is running has done the same by itself when it started: new versions are made, filled as it reads the
topics, and switched when they have caught up.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gradcube.cube.deploy.plan import DeployedVersion, Outcome, Shape, Step
from gradcube.cube.model import Catalog, CubeModel
from gradcube.cube.store import files
from gradcube.cube.store.inheritance import left_behind
from gradcube.cube.store.manifest import Manifest, Version
from gradcube.cube.store.relations import Layout
from gradcube.cube.store.store import Store
from gradcube.errors import ConfigError

MANIFEST = "manifest.sqlite"


class EmbeddedDeployment:
    """`EmbeddedDeployment(directory, catalog)`. Raises ConfigError from every call while the store is in use."""

    def __init__(self, directory: Path, catalog: Catalog) -> None:
        self._directory, self._catalog = directory.absolute(), catalog

    def deployed(self) -> Sequence[DeployedVersion]:
        """From the manifest; none where there is no store yet."""
        if not (self._directory / MANIFEST).exists():
            return []
        with self._manifest() as manifest:
            return list(_versions(manifest))

    def why_not(self, model: CubeModel) -> str | None:
        """It holds every cube."""
        del model
        return None

    def apply(self, step: Step) -> Outcome:
        """`fill` is what the gateway does as it reads: here it is done or waits for that."""
        if step.number is not None:
            return self._remove(step, (step.cube, step.number))
        if step.action == "create":
            self._open_store().close()
            return Outcome(step)
        behind = [one.missing for one in self.deployed() if one.cube == step.cube and not one.serving]
        if any(missing != 0 for missing in behind):
            what = "a topic" if None in behind else f"{sum(filter(None, behind)):,} records"
            return Outcome(step, f"{what} that a running gateway reads (gradcube up); then deploy again")
        if step.action == "switch":
            with closing(self._open_store()) as store:
                if rows := left_behind(store, step.cube):
                    return Outcome(step, f"leave to lose {rows:,} rows (docs/cubes.md, A changed cube)")
                store.switch(step.cube)
        return Outcome(step)

    def _open_store(self) -> Store:
        return Store(self._directory, self._catalog.cubes.values())

    def _remove(self, step: Step, version: Version) -> Outcome:
        with self._manifest() as manifest, manifest.transaction():
            known = manifest.versions().get(version)
            if known is not None and known[1] and step.action == "retire":
                return Outcome(step, "the switch: readers still see that version")
            manifest.drop_version(version)  # the files go when the store is next opened
        return Outcome(step)

    @contextmanager
    def _manifest(self) -> Iterator[Manifest]:
        try:
            held = files.lock(self._directory)
        except ConfigError as error:
            raise ConfigError(f"{error}; a running gateway deploys what is declared when it starts") from error
        try:
            with closing(Manifest(self._directory / MANIFEST)) as manifest:
                yield manifest
        finally:
            os.close(held)


def _versions(manifest: Manifest) -> Iterator[DeployedVersion]:
    known = manifest.versions()
    offsets = {version: manifest.offsets(version) for version in known}
    serving = {cube: number for (cube, number), (_, live) in known.items() if live}
    segments = manifest.segments()
    for (cube, number), (layout, live) in sorted(known.items()):
        rows = sum(
            one.num_rows for one in segments if (one.cube, one.version, one.relation) == (cube, number, layout.raw.name)
        )
        seen = cube, serving.get(cube, number)
        missing = _missing(offsets[cube, number], offsets[seen]) if _topic(known[seen][0]) == _topic(layout) else None
        yield DeployedVersion(cube, number, _shape(layout), live, rows, missing)


def _missing(mine: Mapping[tuple[str, int], int], seen: Mapping[tuple[str, int], int]) -> int:
    return sum(max(0, offset - mine.get(place, 0)) for place, offset in seen.items())


def _topic(layout: Layout) -> str:
    return dict(layout.reading)["topic"]


def _shape(layout: Layout) -> Shape:
    start = len(f"{layout.cube}__")
    return {
        "columns": dict(layout.raw.columns),
        "groups": {one.name[start:]: ", ".join(one.groups) for one in layout.relations if one.groups},
        "rows": {
            "order": " ".join(name for name, _ in layout.raw.columns), "time": layout.time, "key": layout.key,
            "latest": str(layout.latest), "carry": ", ".join(layout.carry),
        },
        "reading": dict(layout.reading),
    }  # fmt: skip
