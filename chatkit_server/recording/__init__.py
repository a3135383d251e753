"""Run an author's function again after the user has decided, instead of keeping its coroutine.

A function that a turn calls (an exported workflow, the `respond` of an adopted server) may run several agents. If one
of them must wait for the user, the results of those before it are saved with it. On the decision, the function is
called again: the recorded runs return their results without a model or a tool, and the paused one resumes
(docs/decisions/0009).
"""
