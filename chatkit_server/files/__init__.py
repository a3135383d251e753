"""Attachments and generated images: taken in, looked at, kept, given to the model, linked for their user, pruned."""
