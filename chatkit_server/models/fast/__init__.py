"""Replace slow parts of the openai client with equivalent fast ones, falling back to the stock code."""
