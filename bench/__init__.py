"""What a streamed token costs: our full stack against the stock way, measured in one run (`make bench`)."""
