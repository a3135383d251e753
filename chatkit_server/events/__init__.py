"""ChatKit events: encode and decode them, and fold them into items."""
