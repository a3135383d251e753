"""Workflows in the shape in which OpenAI's Agent Builder exports them, written by hand."""
