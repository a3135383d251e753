"""HTTP in and out; what the requests mean is decided elsewhere."""
