#!/usr/bin/env bash
# Builds the wheel and the images that the manifests name. BUILDER=buildah or podman in place of docker.
#   k8s/images/build.sh                         all of them
#   k8s/images/build.sh services kafka          only these
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
.venv/bin/python -m hatchling build -t wheel
[ $# -gt 0 ] || set -- services metrics trainer kafka kylin
for image; do
    tag=$version
    [ "$image" != kafka ] || tag=$(sed -n 's/.*<artifactId>kafka_[^<]*<\/artifactId><version>\([^<]*\)<.*/\1/p' libs/gradcube/bus/broker/pom.xml)
    "${BUILDER:-docker}" build -f "k8s/images/$image/Dockerfile" -t "gradcube/$image:$tag" .
done
