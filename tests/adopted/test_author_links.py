"""Signed URLs to an author's own upload and download routes."""

import pytest
from chatkit.types import AttachmentUploadDescriptor, ImageAttachment
from starlette.requests import Request

from chatkit_server.adopted.author_links import AuthorLinks
from chatkit_store import Owner

OWNER = Owner("acme", "alice")


def request_to(url: str) -> Request:
    path, _, query = url.removeprefix("http://chat.example").partition("?")
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "root_path": ""}
    return Request({**scope, "headers": [(b"host", b"chat.example")], "scheme": "http"})


def picture(upload: str, preview: str) -> ImageAttachment:
    descriptor = AttachmentUploadDescriptor(url=upload, method="POST")
    return ImageAttachment(
        id="atc_1", name="a.png", mime_type="image/png", upload_descriptor=descriptor, preview_url=preview
    )


def test_urls_of_this_server_say_for_whom() -> None:
    links = AuthorLinks(["key"], None)
    signed = links.sign(
        picture("http://chat.example/files/1", "http://chat.example/files/1?size=s#top"), OWNER, request_to("/chatkit")
    )
    assert signed.upload_descriptor is not None
    assert isinstance(signed, ImageAttachment)
    for url in (str(signed.upload_descriptor.url), str(signed.preview_url)):
        assert links.owner_of(request_to(url.partition("#")[0]), "atc_1") == OWNER
        assert links.owner_of(request_to(url.partition("#")[0]), "atc_2") is None
        assert AuthorLinks(["other key"], None).owner_of(request_to(url.partition("#")[0]), "atc_1") is None
    assert str(signed.preview_url).endswith("#top")
    assert links.sign(signed, OWNER, request_to("/chatkit")) == signed, "they are signed once"


@pytest.mark.parametrize("url", ["https://bucket.s3.example/1?X-Amz-Signature=a", "http://chat.example:81/files/1"])
def test_urls_of_other_servers_stay_as_they_are(url: str) -> None:
    attachment = picture(url, url)
    assert AuthorLinks(["key"], None).sign(attachment, OWNER, request_to("/chatkit")) == attachment


def test_a_public_url_is_of_this_server() -> None:
    links = AuthorLinks(["key"], "https://www.example/chat")
    signed = links.sign(picture("https://www.example/files/1", "https://www.example/files/1"), OWNER, None)
    assert signed.upload_descriptor is not None
    assert "chatkit_token=" in str(signed.upload_descriptor.url)


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
def test_a_forged_token_is_nobodys(token: str) -> None:
    assert AuthorLinks(["key"], None).owner_of(request_to(f"/files/1?chatkit_token={token}"), "atc_1") is None
