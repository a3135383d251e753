"""The signature in a file's URL is good for one file, one purpose, and a time."""

import pytest

from chatkit_server.files.signed_links import SignedLinks
from chatkit_store import Owner
from tests.hostile.conftest import Furnished
from tests.hostile.house import ALICE, House

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def download(house: House, attachment_id: str, token: str) -> tuple[int, bytes]:
    """Return status and body."""
    path = f"/api/attachments/{attachment_id}/content"
    answer = await house.send("GET", path, query=f"token={token}".encode())
    return answer.status, answer.body


async def test_a_signature_opens_its_file_without_a_login(furnished: Furnished) -> None:
    hers = furnished.hers
    assert (await download(furnished.house, hers.attachment, hers.download))[0] == 200


async def test_a_signature_is_useless_for_anything_else(furnished: Furnished) -> None:
    house, hers = furnished.house, furnished.hers
    bob = Owner("acme", "bob")
    links = house.services.links
    of_another = SignedLinks(["x" * 32], links._uploads, links._blobs, public_url=None, seconds=links._seconds)
    wrong = {
        "of an upload": hers.upload,
        "of an upload of this file": house.signature("upload", hers.attachment, ALICE),
        "of another file": house.signature("download", hers.pending, ALICE),
        "for another user": house.signature("download", hers.attachment, bob),
        "for another tenant": house.signature("download", hers.attachment, Owner("umbrella", "alice")),
        "of another server": house.signature("download", hers.attachment, ALICE, of_another),
        "with more at its end": hers.download + "x",
        "cut": hers.download[:-1],
        "without a signature": hers.download.partition(".")[0],
        "none": "",
    }
    answers = {name: await download(house, hers.attachment, signature) for name, signature in wrong.items()}
    assert {status for status, _ in answers.values()} <= {403, 404}, answers


async def test_a_signature_expires(furnished: Furnished, monkeypatch: pytest.MonkeyPatch) -> None:
    house, hers = furnished.house, furnished.hers
    monkeypatch.setattr(house.services.links, "_seconds", -1)
    assert (await download(house, hers.attachment, hers.download))[0] == 403
