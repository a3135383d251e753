"""File sizes for users: 1 MB is 1024² bytes here, as in the widget and in most file managers."""

MB = 1024**2
QUARTER = MB // 4


def readable_size(size: int) -> str:
    """Return a size in bytes as text, such as `20 MB` or `1.5 MB`."""
    return f"{size / MB:.3g} MB" if size >= MB / 10 else f"{size} bytes"


def offered_limit(limit: int) -> int:
    """Return the limit that the widget gets, in bytes.

    It divides by 1024² and shows every digit (widget of June 2026), so the limit is rounded down to quarters of 1 MB.
    """
    return limit if limit < MB else limit - limit % QUARTER
