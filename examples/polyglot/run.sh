#!/bin/sh
# The quickstart in Python and then in Go, each on a generated client, against one runtime: that of `mecha run`.
set -eu
cd "$(dirname "$0")"

# The clients come from the contracts. (Python's tools are where README.md says they are, or wherever PYTHON says.)
python=${PYTHON:-../../.cache/python/bin/python}
pnpm --silent -w generate --lang python --python "$PWD/$python" --out "$PWD/python/gen"
pnpm --silent -w generate --lang go --package mecha.dev/examples/polyglot/gen --out "$PWD/go/gen"

PYTHONPATH=python/gen "$python" python/quickstart.py
(cd go && go run .)

# What both wrote is in one place.
mecha state list --keys-only
