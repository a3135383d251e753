"""Five `ChatKitServer` classes as people write them after OpenAI's samples. None of them knows our server.

Each module has its tools, state and helpers beside the class, and what its own endpoint would pass to `process`.
"""
