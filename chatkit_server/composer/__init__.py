"""What the page's composer offers: models, tools, prompts, mentions."""
