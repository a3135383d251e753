"""Attachments and generated images: upload, checks, storage, signed links, model input, pruning.

- `attachment_store` receives uploads; `file_types`, `file_names` and `previews` check them.
- `blob_storage` chooses where the bytes are stored; `pruning` deletes those that are no longer needed.
- `signed_links` turns the references in rows into URLs.
- `user_files` gives attachments to the model, `generated_images` stores the images that the model makes.
- `paused_run_files` keeps file contents out of the saved state of a paused run.
"""
