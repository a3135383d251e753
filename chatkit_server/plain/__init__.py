"""Plain (non-ChatKit) clients: a message in, tokens or one answer out, on the same threads and turns."""
