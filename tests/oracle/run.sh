#!/usr/bin/env bash
# Writes test vectors, signed by the vendor's own SDK, to the file $1. Installs the SDK into
# target/oracle-venv first, unless it stands there already.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?usage: run.sh FILE}
target=${CARGO_TARGET_DIR:-$here/../../target}
venv=$target/oracle-venv
pinned=$venv/requirements.txt

if ! cmp -s "$here/requirements.txt" "$pinned"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$pinned"
fi
"$venv/bin/python" "$here/alidns.py" "$out"
