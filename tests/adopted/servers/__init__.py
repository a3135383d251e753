"""`ChatKitServer` classes as people write them, which know nothing of ours: five in the manner of OpenAI's samples,
and one with other ways to run agents.

Each module has its tools, state and helpers beside the class, and what its own endpoint would pass to `process`.
"""
