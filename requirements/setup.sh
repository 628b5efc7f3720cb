#!/usr/bin/env bash
# Makes .venv with the `gradcube` command, and everything the broker needs. Run again, it only checks.
#   requirements/setup.sh            what `make setup` runs
#   requirements/setup.sh --check    also what `make check` needs (kustomize)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
venv=$root/.venv
step() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 78; }

apt_updated=
apt() { # installs Debian packages when we may
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    [ -n "$apt_updated" ] || { step "apt-get update"; DEBIAN_FRONTEND=noninteractive apt-get -qq update >/dev/null; apt_updated=1; }
    step "apt-get install $*"
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

find_python() {
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

java_major() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

need_java() {
    local major; major=$(command -v java >/dev/null && java_major || echo 0)
    [ "${major:-0}" -ge 17 ] && return
    apt openjdk-17-jdk-headless 2>/dev/null || apt default-jdk-headless || fail "Java 17 or newer is missing (found: ${major:-none}). Install a JDK 17, e.g. as root: apt-get install openjdk-17-jdk-headless"
}

need_maven() {
    command -v mvn >/dev/null || apt maven || fail "Maven is missing. Install it, e.g. as root: apt-get install maven"
}

need_python() {
    python=$(find_python) || { apt python3 && python=$(find_python); } || fail "Python 3.11 or newer is missing. Install it, e.g. as root: apt-get install python3 python3-venv"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt python3-venv || fail "Python's venv module is missing. Install it, e.g. as root: apt-get install python3-venv"
}

need_environment() {
    local stamp; stamp=$(cat requirements/*.txt pyproject.toml | sha256sum | cut -c1-16)
    if [ -x "$venv/bin/gradcube" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    step "Python environment in .venv (torch is most of it)"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    # uv replaces pip, and keeps itself at the locked version from then on.
    [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip -q --disable-pip-version-check install --require-hashes -r requirements/uv.txt
    "$venv/bin/uv" pip sync --python "$venv/bin/python" --require-hashes requirements/all.txt requirements/uv.txt 2>&1 | tail -n 1
    # The build backend is in the lock, so the build needs no environment of its own.
    "$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation -e .
    echo "$stamp" > "$venv/.stamp"
}

need_kustomize() {
    command -v kubectl >/dev/null || [ -x "$venv/bin/kustomize" ] && return
    command -v go >/dev/null || apt golang-go || fail "kubectl (or Go, to build kustomize) is missing: install kubectl 1.32 or newer"
    step "kustomize, from its Go module"
    GOBIN=$venv/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
}

need_python
need_java
need_maven
need_environment
"$venv/bin/gradcube" fetch
if [ "${1:-}" = --check ]; then need_kustomize; fi
step "ready: $venv/bin/gradcube"
