#!/bin/sh
# Start the development server: rebuild the page and restart the server when their sources change. Ctrl-C ends both.
set -eu

# vite directly: a signal to npm would leave vite running.
(cd web && exec node node_modules/vite/bin/vite.js build --watch --mode watch --logLevel warn) &
page=$!
trap 'kill "$page" 2>/dev/null || true' EXIT

# In the background, because sh runs a trap only after a foreground command has ended: SIGTERM would stop nothing.
CHATKIT_PAGE_DIR=web/dist-dev .venv/bin/chatkit-server serve --reload &
server=$!
trap 'kill "$server" 2>/dev/null || true' INT TERM

status=0
wait "$server" || status=$?
while kill -0 "$server" 2>/dev/null; do # a signal ended `wait`, and the server is still shutting down
    wait "$server" || status=$?
done
exit "$status"
