"""Follow the chunked framing (RFC 9112, section 7.1) of a response whose bytes pass by."""

import re

CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")
"""The line before a chunk; one with an extension is left to the HTTP library."""
CRLF = b"\r\n"
LONGEST_SIZE = 10
"""Bytes of the longest line that `CHUNK_SIZE` matches."""


class Chunks:
    """The place of a reader within a chunked body."""

    __slots__ = ("_held", "end", "left")

    def __init__(self) -> None:
        self.left = 0
        """Bytes to come of the current chunk, with the line end behind it; 0 between two chunks."""
        self.end: bytes | None = None
        """The bytes from the last chunk on, or from the first that this class does not understand."""
        self._held = b""

    def take(self, data: bytes) -> bytes:
        """Return the content in the next bytes of the body. Sets `end` at its end."""
        if self._held:
            data, self._held = self._held + data, b""
        pieces = []
        position, size = 0, len(data)
        while position < size:
            if self.left > 2:
                piece = data[position : position + self.left - 2]
                pieces.append(piece)
                position += len(piece)
                self.left -= len(piece)
            elif self.left:
                if size - position < 2:
                    self._held = data[position:]
                    break
                if not data.startswith(CRLF, position):
                    self.end = data[position:]
                    break
                position += 2
                self.left = 0
            elif (line := CHUNK_SIZE.match(data, position)) is None:
                rest = data[position:]
                if len(rest) < LONGEST_SIZE and CRLF not in rest:
                    self._held = rest
                else:
                    self.end = rest
                break
            elif length := int(line[1], 16):
                position = line.end()
                stop = position + length
                if data.startswith(CRLF, stop):
                    pieces.append(data[position:stop])
                    position = stop + 2
                else:
                    self.left = length + 2
            else:
                self.end = data[position:]
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def chunk(content: bytes) -> bytes:
    """Return the chunk with this content, which must not be empty."""
    return b"%x\r\n%b\r\n" % (len(content), content)
