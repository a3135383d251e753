"""Pictures that strangers send: checked before they are decoded, and made small enough to send inline."""

import io
from typing import IO

from PIL import Image, ImageOps

from ..errors.http import InvalidFile

SIDE = 256
"""Longest side of a preview, in pixels: about 10 kB as WebP."""

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def make_preview(file: IO[bytes], max_pixels: int) -> bytes:
    """A small WebP of the picture, of its first frame where it moves. Leaves the file at its start.

    Reading it whole is also the test that it is whole. Raises `InvalidFile` for one that is damaged, or that would
    need more memory than `max_pixels` allow: a few kB can say that they are a billion pixels.
    """
    try:
        file.seek(0)
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise _too_many(max_pixels)
            image.draft("RGB", (SIDE * 2, SIDE * 2))  # a JPEG is decoded at the size that is needed
            image.load()
            return _encoded(image)
    except _BOMBS as error:
        raise _too_many(max_pixels) from error
    except InvalidFile:
        raise
    except Exception as error:  # Pillow raises nearly anything for a file that is made to break it
        raise InvalidFile("The picture is damaged or incomplete. Please send it again.") from error
    finally:
        file.seek(0)


def _encoded(image: Image.Image) -> bytes:
    small = ImageOps.exif_transpose(image)
    small.thumbnail((SIDE, SIDE))
    has_alpha = "A" in small.getbands() or "transparency" in small.info
    written = io.BytesIO()
    small.convert("RGBA" if has_alpha else "RGB").save(written, "WEBP", quality=75)
    return written.getvalue()


def _too_many(max_pixels: int) -> InvalidFile:
    return InvalidFile(f"The picture has too many pixels; at most {max_pixels // 1_000_000} million are accepted.")
