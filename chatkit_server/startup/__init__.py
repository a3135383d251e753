"""What happens before the server serves: logging, schema, and checks of the agent and the setup."""
