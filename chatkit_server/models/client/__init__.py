"""Our openai client: its transport, and faster equivalents of its slow parts, which fall back to the stock code."""
