"""Checks the manifests without a cluster: they render, fit the schemas, keep our rules; install.yaml is current.

python k8s/check.py            one line per check; exit code 1 with what differs
python k8s/check.py --write    writes k8s/install.yaml first
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
from checking.rendering import (
    INSTALL,
    K8S,
    Object,
    RenderError,
    install_difference,
    install_text,
    kustomizations,
    objects,
    render,
)
from checking.rules import RULES, broken

VERSION = "1.34"
"""Of Kubernetes; the namespace's pod security is pinned to the same."""


def main(arguments: Sequence[str]) -> int:
    """0 when everything holds, 1 when something does not, 2 for arguments that are none."""
    if list(arguments) not in ([], ["--write"]):
        say(f"{__doc__}")
        return 2
    try:
        if arguments:
            INSTALL.write_text(install_text(), encoding="utf-8")
        results = [*(result for folder in kustomizations() for result in check_folder(folder)), check_install()]
    except RenderError as error:
        results = [("render", [str(error)])]
    for title, problems in results:
        report(title, problems)
    return 1 if any(problems for _, problems in results) else 0


def check_folder(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Schema and rules of one kustomization, each as a title and its problems."""
    name = folder.relative_to(K8S)
    found = objects(render(folder))
    yield f"{name}: {len(found)} objects fit Kubernetes {VERSION}", list(schema_problems(found))
    yield f"{name}: {len(RULES)} rules hold", broken(found)


def schema_problems(found: Sequence[Object]) -> Iterator[str]:
    """Fields that Kubernetes does not have, and values that it refuses."""
    for each in found:
        title = f"{each['kind']}/{each['metadata']['name']}"
        try:
            kubernetes_validate.validate(each, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{title}: {'.'.join(str(part) for part in error.path)}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{title}: {error.message}"


def check_install() -> tuple[str, list[str]]:
    """install.yaml against a fresh build."""
    found = INSTALL.read_text(encoding="utf-8") if INSTALL.exists() else ""
    difference = install_difference(found, install_text())
    return "install.yaml is current", [f"run `make install.yaml`:\n{difference}"] if difference else []


def report(title: str, problems: Sequence[str]) -> None:
    """One line per check, and one per problem below it."""
    say(f"{'FAILED' if problems else 'ok':<6} {title}")
    for problem in problems:
        say(f"         {problem}")


def say(line: str) -> None:
    """To standard output."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
