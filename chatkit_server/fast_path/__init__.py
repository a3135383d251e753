"""The fast path: the direct route of text deltas from the model to the clients, past the Agents SDK's queue."""
