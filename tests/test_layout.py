"""The layout keeps its promises: file names that can be guessed, few loose modules."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LOOSE_MODULES = 10


@pytest.mark.parametrize("package", ["chatkit_server", "store/chatkit_store"])
def test_no_two_files_of_a_package_share_a_name(package: str) -> None:
    files = [path for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"]
    names = Counter(path.name for path in files)
    assert [str(path.relative_to(ROOT)) for path in files if names[path.name] > 1] == []


def test_few_modules_lie_outside_of_the_rooms() -> None:
    loose = sorted(path.name for path in (ROOT / "chatkit_server").glob("*.py"))
    assert len(loose) <= MAX_LOOSE_MODULES, loose


@pytest.mark.parametrize("package", ["chatkit_server", "store/chatkit_store"])
def test_packages_import_nothing_that_their_wheels_lack(package: str) -> None:
    of_checkout = re.compile(r"^\s*(?:from|import) (?:examples|tests|bench|scripts)\b", re.MULTILINE)
    files = (ROOT / package).rglob("*.py")
    assert [str(path.relative_to(ROOT)) for path in files if of_checkout.search(path.read_text(encoding="utf-8"))] == []
