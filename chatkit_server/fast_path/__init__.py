"""The fast path: the direct route of text deltas from the model to the clients, past what does not need them.

::

    socket ─▶ FastConnection ─▶ FastBody ──── plain text ────▶ Tap.hear_text ─▶ RunStream.listen_text ─▶ TextSink
              (aiohttp)         (fast_body.py)                 (tap.py)         (run/stream.py)          (turn's log)
                                    │                              ▲
                                    └─ all else ─▶ aiohttp ─▶ openai client ─▶ Agents SDK's model ─▶ tapped ─▶ run

Whatever is not plain text, or comes while such an event is on its way, takes the lower route, the slow path, which is
the whole path where `CHATKIT_FAST_PATH` is off. Both lead to the same answers: tests/fast_path compares them.
"""
