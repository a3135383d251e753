"""Each requirement has a test, and tests only name existing requirements. Works on any subset of the tests."""

import importlib
from collections import Counter
from pathlib import Path

from tests.protocol.requirements import REQUIREMENTS

TESTS = Path(__file__).parent


def covered() -> set[str]:
    """Return the ids that this folder's tests name; imports them, because pytest may have collected a subset."""
    modules = [importlib.import_module(f"tests.protocol.{path.stem}") for path in sorted(TESTS.glob("test_*.py"))]
    tests = [value for module in modules for name, value in vars(module).items() if name.startswith("test_")]
    return {requirement for test in tests for requirement in getattr(test, "covered", ())}


def test_every_requirement_is_covered_and_every_covered_id_exists() -> None:
    assert covered() == {requirement.id for requirement in REQUIREMENTS}


def test_no_requirement_is_listed_twice() -> None:
    assert [key for key, count in Counter(requirement.id for requirement in REQUIREMENTS).items() if count > 1] == []


def test_every_test_of_the_protocol_names_a_requirement() -> None:
    nameless = []
    for path in sorted(TESTS.glob("test_*.py")):
        module = importlib.import_module(f"tests.protocol.{path.stem}")
        if module.__name__ == __name__:
            continue
        nameless += [
            name
            for name, value in vars(module).items()
            if name.startswith("test_") and callable(value) and not hasattr(value, "covered")
        ]
    assert nameless == []
