"""The fast path: the direct route of text deltas from the model to the clients, past what does not need them.

::

    the model's    FastConnection ─▶ FastBody ──── plain text ────▶ Tap.hear_text ─▶ RunStream.listen_text ─┐
    socket     ─▶  (aiohttp)         (fast_body.py)                 (tap.py)         (run/stream.py)        │
                                         │                              ▲                                   │
                                         └─ all else ─▶ aiohttp ─▶ Agents SDK's model ─▶ tapped ─▶ run      │
                                                                                                            ▼
    the client's   ClientWriter ◀──────────────────── Subscription ◀─────────────────── TurnLog ◀─ Output.take_text
    socket     ◀─  (client_writer.py, or the task     (turns/subscription.py: when      (turns/)
                   of the response)                   the reader gets it)

Whatever is not plain text, or comes while such an event is on its way, takes the lower of the first two routes, the
slow path, which is the whole path where `CHATKIT_FAST_PATH` is off. Both lead to the same answers: tests/fast_path
compares them. `shared_clock.py` has one timer for the waits of all answers.

The classes on the way have `__slots__`: the time of a token is spent on fetching what belongs to its answer into the
processor's cache, and these are fewer places in memory.
"""
