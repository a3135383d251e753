"""What the composer offers besides text: models, tools, starter prompts and mentions."""
