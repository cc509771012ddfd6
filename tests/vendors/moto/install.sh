#!/usr/bin/env bash
# Prints the path of a Python that has moto. Installs it into target/moto-venv first, unless it stands
# there already; of several at once, one installs and the others wait.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../../target}
venv=$target/moto-venv
pinned=$venv/requirements.txt

mkdir -p "$target"
exec 9>"$target/moto-venv.lock"
flock 9
if ! cmp -s "$here/requirements.txt" "$pinned"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        -r "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$pinned"
fi
echo "$venv/bin/python"
