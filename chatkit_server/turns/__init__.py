"""A turn: from the accepted request through its task, its log and its journal to its end, on this worker or another."""
