"""Clients that are not ChatKit: a message in, tokens or one answer out, on the same turns and threads."""
