"""What people run behind an OpenAI-compatible URL, and whether a chat with tools works with it.

- `endpoints.py`: one record per endpoint: how it shapes its stream, and what it refuses, with the source;
- `shapes.py`, `refusals.py`: the parts of these records;
- `server.py`: one local server that answers as each of them;
- `abilities.py`: the conversations that are tried with each endpoint;
- `table.py`: the table for docs/models.md, which `python -m tests.conformance` writes.
"""
