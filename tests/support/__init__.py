"""Stand-ins for what lies outside the server: the model endpoint, the stock widget, a real HTTP server."""
