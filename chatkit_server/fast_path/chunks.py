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
        elif not self.left and (line := CHUNK_SIZE.match(data)) is not None:
            start, stop = line.end(), len(data) - len(CRLF)
            if int(line[1], 16) == stop - start > 0 and data.endswith(CRLF):  # one whole chunk, as most often
                return data[start:stop]
        pieces: list[bytes] = []
        position = 0
        while position < len(data):
            step = self._begin_chunk(data, position) if not self.left else self._continue_chunk(data, position, pieces)
            if not step:
                break
            position += step
        return b"".join(pieces)

    def _begin_chunk(self, data: bytes, position: int) -> int:
        """Read the size of a chunk; return how many bytes that is, or 0 if it is incomplete, or no chunk follows."""
        line = CHUNK_SIZE.match(data, position)
        if line is None:
            rest = data[position:]
            if len(rest) < LONGEST_SIZE and CRLF not in rest:
                self._held = rest
            else:
                self.end = rest
            return 0
        length = int(line[1], 16)
        if not length:
            self.end = data[position:]
            return 0
        self.left = length + len(CRLF)
        return line.end() - position

    def _continue_chunk(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Read content and the line end behind it; return how many bytes that is, or 0 if more are needed."""
        if self.left > len(CRLF):
            piece = data[position : position + self.left - len(CRLF)]
            pieces.append(piece)
            self.left -= len(piece)
            return len(piece)
        if len(data) - position < len(CRLF):
            self._held = data[position:]
            return 0
        if not data.startswith(CRLF, position):
            self.end = data[position:]
            return 0
        self.left = 0
        return len(CRLF)


def chunk(content: bytes) -> bytes:
    """Return the chunk with this content, which must not be empty."""
    return b"%x\r\n%b\r\n" % (len(content), content)
