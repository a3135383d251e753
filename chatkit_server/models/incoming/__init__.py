"""Read what model endpoints really send, and hand the openai client what OpenAI would have sent.

Endpoints that call themselves compatible differ in ids, indexes, types and the ways to end an answer. This room works
on parsed JSON, between the decoder of server-sent events and the client's event classes.
"""
