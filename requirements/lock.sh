#!/usr/bin/env bash
# Compiles the locks from pyproject.toml: with hashes, without index URLs, for every platform and Python >= 3.11.
#   all.txt      everything, for developers, `make demo` and CI
#   NAME.txt     what one image family installs (see k8s/images)
#   superset.txt what the conformance tests install into an environment of its own (superset.in)
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v .venv/bin/uv || command -v uv)
compile() {
    local out=$1; shift
    "$uv" pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 "$@" pyproject.toml -o "requirements/$out"
}
compile all.txt --all-extras --group dev
compile services.txt --extra agent --extra coordinator --extra paramserver --extra cube --extra cli --extra sql -c requirements/all.txt
compile metrics.txt --extra metrics -c requirements/all.txt
compile trainer.txt --extra trainer -c requirements/all.txt
"$uv" pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 requirements/superset.in -o requirements/superset.txt
