"""Check uploaded images before decoding them, and make previews that are small enough to send inline."""

import io
from typing import IO

from PIL import Image, ImageOps

from ..errors.http import InvalidFile

MAX_SIDE = 256
"""Longest side of a preview in pixels; the WebP has about 10 kB."""

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def make_preview(file: IO[bytes], max_pixels: int) -> bytes:
    """Return a small WebP of the image, or of the first frame of an animation. Rewinds the file.

    Decoding the whole image also proves that it is complete. Raises `InvalidFile` for a damaged image, and for one of
    more than `max_pixels`: a file of a few kB can claim a billion pixels.
    """
    try:
        file.seek(0)
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise _too_many_pixels(max_pixels)
            image.draft("RGB", (MAX_SIDE * 2, MAX_SIDE * 2))  # decodes a JPEG at about the size that is needed
            image.load()
            return _encode_preview(image)
    except _BOMBS as error:
        raise _too_many_pixels(max_pixels) from error
    except InvalidFile:
        raise
    except Exception as error:  # Pillow raises nearly any exception for a malicious file
        raise InvalidFile("The image is damaged or incomplete. Please upload it again.") from error
    finally:
        file.seek(0)


def _encode_preview(image: Image.Image) -> bytes:
    small = ImageOps.exif_transpose(image)
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    has_alpha = "A" in small.getbands() or "transparency" in small.info
    output = io.BytesIO()
    small.convert("RGBA" if has_alpha else "RGB").save(output, "WEBP", quality=75)
    return output.getvalue()


def _too_many_pixels(max_pixels: int) -> InvalidFile:
    return InvalidFile(f"The image has too many pixels; at most {max_pixels // 1_000_000} million are accepted.")
