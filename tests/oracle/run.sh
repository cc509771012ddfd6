#!/usr/bin/env bash
# Runs the script NAME.py of this directory, which needs vendors' own packages, with the arguments that
# follow. Installs the packages into target/oracle-venv first, unless they stand there already.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=${1:?usage: run.sh NAME [ARGUMENT...]}
target=${CARGO_TARGET_DIR:-$here/../../target}
venv=$target/oracle-venv
pinned=$venv/requirements.txt

# Tests run at the same time, and one of them makes the environment.
mkdir -p "$target"
exec 9>"$target/oracle-venv.lock"
flock 9
if ! cmp -s "$here/requirements.txt" "$pinned"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
        -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$pinned"
fi
exec 9>&-
exec "$venv/bin/python" "$here/$name.py" "${@:2}"
