"""Measure the cost of a streamed token: our full stack against the stock SDK, in one run (`make bench`)."""
