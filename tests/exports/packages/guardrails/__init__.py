"""A small stand-in for `openai-guardrails`, which installs 300 MB: the part of its API that exports call."""
