#!/bin/sh
# The development server: rebuilds the page and restarts the server when their sources change. Ctrl-C ends both.
set -eu

(cd web && exec npm run --silent watch) &
page=$!
trap 'kill "$page" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

.venv/bin/chatkit-server serve --reload
