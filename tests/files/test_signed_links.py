"""The keys that sign the URLs of files."""

from typing import Any, cast

import pytest

from chatkit_server.errors.http import LinkExpired
from chatkit_server.files.signed_links import SignedLinks
from chatkit_store import Owner


def test_links_of_an_old_key_are_valid_until_the_key_is_removed() -> None:
    def links(*keys: str) -> SignedLinks:
        return SignedLinks(keys, cast(Any, None), cast(Any, None), public_url=None, seconds=60)

    owner = Owner("acme", "ann")
    old, new = (
        signer.make("download", "atc_1", owner, "http://chat").partition("token=")[2]
        for signer in (links("old"), links("old", "new"))  # the last key signs
    )
    assert links("old", "new").verify("download", "atc_1", old) == owner
    assert links("new").verify("download", "atc_1", new) == owner
    for signer, token in ((links("new"), old), (links("old"), new)):
        with pytest.raises(LinkExpired):
            signer.verify("download", "atc_1", token)
