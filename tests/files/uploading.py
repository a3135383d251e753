"""Upload files like the widget, and inspect what the server stores."""

import asyncio
import io
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from PIL import Image

from chatkit_store import Owner
from tests.serving import Tab
from tests.support.chatkit import Json
from tests.turns.chat import Chat

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
S3_KEYS = {"s3_access_key_id": "key", "s3_secret_access_key": "secret"}
TEXT = "Grüße aus Köln\n".encode()

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def picture(format: str = "PNG", size: tuple[int, int] = (600, 400)) -> bytes:
    """Return a small valid image; PNG, JPEG, GIF or WEBP."""
    output = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(output, format)
    return output.getvalue()


def decompression_bomb() -> bytes:
    """Return a PNG of 3.6 billion pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    head = pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    lines = zlib.compress(bytes(60_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


@dataclass
class UploadResponse:
    """The server's answer to an upload."""

    status: int
    body: Json

    @property
    def id(self) -> str:
        """The id of the attachment; fails if the upload failed."""
        assert self.status == 200, self.body
        return str(self.body["id"])


@dataclass
class UploadClient:
    """A user with a browser tab who uploads files to an app."""

    chat: Chat
    tab: Tab

    @classmethod
    @asynccontextmanager
    async def of(cls, chat: Chat) -> AsyncIterator["UploadClient"]:
        """Open a tab as a new user of the app."""
        async with await chat.visitor() as tab:
            yield cls(chat, tab)

    async def upload(self, data: bytes, name: str = "a.txt", mime_type: str | None = "text/plain") -> UploadResponse:
        """Upload directly: `POST /api/attachments`."""
        return await self._send("POST", f"{self.chat.url}/api/attachments", form(data, name, mime_type))

    async def announce(self, name: str = "a.txt", mime_type: str = "text/plain", size: int = len(TEXT)) -> Json:
        """Start a two-phase upload; return the attachment with its upload descriptor."""
        reply = await self.tab.post("attachments.create", {"name": name, "mime_type": mime_type, "size": size})
        assert reply.status == 200, reply.body
        body: Json = reply.body
        return body

    async def put(self, attachment: Json, data: Any) -> UploadResponse:
        """Send the bytes as the upload descriptor says."""
        descriptor = attachment["upload_descriptor"]
        return await self._send(descriptor["method"], descriptor["url"], data, descriptor["headers"])

    async def post(self, attachment: Json, data: bytes, name: str = "a.txt") -> UploadResponse:
        """Send the bytes of a two-phase upload as a form."""
        return await self._send("POST", attachment["upload_descriptor"]["url"], form(data, name, "text/plain"))

    async def send(self, *attachment_ids: str, text: str = "Look", thread_id: str | None = None) -> Any:
        """Send a message with files; return the complete answer."""
        if thread_id is None:
            return await self.tab.create(text, attachments=list(attachment_ids))
        return await self.tab.send(thread_id, text, attachments=list(attachment_ids))

    async def rows(self) -> list[tuple[Any, ...]]:
        """Return name, type, size and status of every row of `attachments`."""
        return await self.chat.select("SELECT name, mime_type, size, status FROM attachments ORDER BY id")

    def stored_files(self) -> list[str]:
        """Return the names of all files on disk, including half-written ones."""
        folder = Path(self.chat.services.settings.data_dir) / "files"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def bytes_of(self, attachment_id: str) -> bytes:
        """Return the bytes on disk."""
        return (Path(self.chat.services.settings.data_dir) / "files" / attachment_id).read_bytes()

    async def get(self, url: str) -> tuple[int, bytes, dict[str, str]]:
        """GET without cookies; return status, body, and headers by lower-case name."""
        async with aiohttp.ClientSession() as stranger, stranger.get(url) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status, await response.read(), headers

    def link(self, attachment_id: str) -> str:
        """Return a fresh download URL of the file for this user."""
        return self.chat.services.links.make("download", attachment_id, Owner("", self.user_id), self.chat.url)

    @property
    def user_id(self) -> str:
        """The user id that the server reads from the tab's cookie."""
        (cookie,) = self.tab.cookies.filter_cookies(self.tab_url).values()
        anonymous = self.chat.services.door._anonymous
        assert anonymous is not None
        user_id: str = anonymous._cookies.loads(cookie.value)
        return user_id

    @property
    def tab_url(self) -> Any:
        """The app's URL for the cookie jar."""
        from yarl import URL

        return URL(self.chat.url)

    async def cut(self, url: str, data: bytes, headers: str) -> None:
        """Send fewer bytes than the headers announce, then disconnect."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"{headers}\r\nhost: x\r\n\r\n".encode() + data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _send(self, method: str, url: str, data: Any, headers: Json | None = None) -> UploadResponse:
        data = io.BytesIO(data) if isinstance(data, bytes) else data
        headers = {"chatkit-frame-instance-id": self.tab.frame_id, "accept-language": "en-US", **(headers or {})}
        async with self.tab.session.request(method, url, data=data, headers=headers) as response:
            return UploadResponse(response.status, await response.json())


def form(data: bytes, name: str, mime_type: str | None) -> aiohttp.FormData:
    """Return a form with one file, encoded like a browser does."""
    form_data = aiohttp.FormData(quote_fields=False)
    form_data.add_field("file", io.BytesIO(data), filename=name, content_type=mime_type)
    return form_data
