#!/bin/sh
# Start the development server: rebuild the page and restart the server when their sources change. Ctrl-C ends both.
set -eu

# vite directly: a signal to npm would leave vite running.
(cd web && exec node node_modules/vite/bin/vite.js build --watch --mode watch --logLevel warn) &
page=$!
trap 'kill "$page" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

CHATKIT_PAGE_DIR=web/dist-dev .venv/bin/chatkit-server serve --reload
