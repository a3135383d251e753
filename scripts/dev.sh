#!/bin/sh
# The development server: rebuilds the page and restarts the server when their sources change. Ctrl-C ends both.
set -eu

# vite itself and not npm: a signal to npm would leave vite behind.
(cd web && exec node node_modules/vite/bin/vite.js build --watch --mode watch --logLevel warn) &
page=$!
trap 'kill "$page" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

CHATKIT_PAGE_DIR=web/dist-dev .venv/bin/chatkit-server serve --reload
