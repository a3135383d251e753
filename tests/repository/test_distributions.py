"""The wheels and sdists of both distributions: the same bytes each time, one version, and no more than they need."""

import ast
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from scripts import release
from tests.repository.checkout import ROOT, copy_checkout

PACKAGES = {
    ROOT / "chatkit_server": ROOT / "pyproject.toml",
    ROOT / "store/chatkit_store": ROOT / "store/pyproject.toml",
}
VERSION = release.version()


def read(pyproject: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return project


def build(checkout: Path) -> dict[str, bytes]:
    """Return the files that a release builds from a checkout."""
    files = release.build(checkout / "dist", (checkout / "store", checkout))
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("first") / "checkout")


@pytest.fixture(scope="module")
def built(checkout: Path) -> dict[str, bytes]:
    return build(checkout)


def test_both_distributions_have_the_version_of_pyproject(built: dict[str, bytes]) -> None:
    stems = {name.removesuffix(".tar.gz").removesuffix("-py3-none-any.whl") for name in built}
    assert stems == {f"chatkit_server-{VERSION}", f"chatkit_store-{VERSION}"}
    assert len(built) == 4
    assert f"chatkit-store=={VERSION}" in read(ROOT / "pyproject.toml")["dependencies"]


def test_a_build_elsewhere_and_later_has_the_same_bytes(built: dict[str, bytes], tmp_path: Path) -> None:
    other = copy_checkout(tmp_path / "elsewhere")
    for path in other.rglob("*"):
        os.utime(path, (time.time() + 90_000,) * 2)
    before = os.umask(0o077)
    try:
        again = build(other)
    finally:
        os.umask(before)
    assert {name for name in built if built[name] != again[name]} == set()


def test_a_wheel_of_the_checkout_is_the_one_that_its_sdist_builds(checkout: Path, built: dict[str, bytes]) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(checkout / "direct")]
    subprocess.run(command, cwd=checkout, capture_output=True, check=True)
    (wheel,) = (checkout / "direct").iterdir()
    assert wheel.read_bytes() == built[wheel.name]


def test_the_server_contains_its_page_and_the_sdist_nothing_of_web(checkout: Path, built: dict[str, bytes]) -> None:
    (wheel,) = checkout.glob("dist/chatkit_server*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "/page/" in name}
    assert names == {"chatkit_server/page/index.html", "chatkit_server/page/assets/page.js"}
    (sdist,) = checkout.glob("dist/chatkit_server*.tar.gz")
    with tarfile.open(sdist) as archive:
        folders = {name.split("/")[1] for name in archive.getnames()}
    assert folders == {*(p.name for p in checkout.iterdir()), "PKG-INFO"} - {
        "store",
        "alembic",
        "web",
        "dist",
        "direct",
        "__pycache__",  # of the build hook
    }


def test_a_checkout_without_a_built_page_says_so(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout", page=False)
    with pytest.raises(subprocess.CalledProcessError):
        build(checkout)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    failed = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert "The page is not built" in failed.stderr
    assert "make web" in failed.stderr


def imports(path: Path) -> Iterator[str]:
    """Yield the top-level names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        yield from (name.partition(".")[0] for name in names)


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def names_of(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}


ONLY_WITH_AN_EXTRA = {"blob_bucket.py": "s3", "weights.py": "embedded"}
"""Modules that are imported only where the package of an extra is needed."""


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_what_a_package_imports_is_among_its_dependencies(package: Path) -> None:
    project = read(PACKAGES[package])
    base, extras = names_of(project["dependencies"]), project["optional-dependencies"]
    homes = packages_distributions()
    missing = []
    for path in package.rglob("*.py"):
        allowed = base | names_of(extras.get(ONLY_WITH_AN_EXTRA.get(path.name, ""), []))
        for name in imports(path):
            distributions = {normal(home) for home in homes.get(name, [])}
            if distributions and name not in ("chatkit_server", "chatkit_store") and not distributions & allowed:
                missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert missing == []


def test_the_extra_all_has_all_extras() -> None:
    extras = read(ROOT / "pyproject.toml")["optional-dependencies"]
    assert extras["all"] == [f"chatkit-server[{','.join(name for name in extras if name != 'all')}]"]


def test_a_release_of_this_checkout_has_no_fault(checkout: Path, built: dict[str, bytes]) -> None:
    """Among them: the changelog has a dated section for the version."""
    assert release.faults(checkout / "dist") == []


def test_faults_of_a_release_are_named(built: dict[str, bytes], tmp_path: Path) -> None:
    server, store = (f"chatkit_{part}-{VERSION}-py3-none-any.whl" for part in ("server", "store"))
    with zipfile.ZipFile(tmp_path / server, "w") as wheel:
        wheel.writestr("chatkit_server/.env", "KEY=1")
        wheel.writestr("chatkit_server/__pycache__/app.pyc", "")
    (tmp_path / store).write_bytes(built[store])
    (tmp_path / "chatkit_store-0.0.1.tar.gz").write_bytes(b"")
    assert release.faults(tmp_path) == [
        f"dist/chatkit_server-{VERSION}.tar.gz is missing",
        f"dist/chatkit_store-{VERSION}.tar.gz is missing",
        f"dist/chatkit_store-0.0.1.tar.gz does not belong to {VERSION}",
        f"{server} contains chatkit_server/.env",
        f"{server} contains chatkit_server/__pycache__/app.pyc",
        f"{server} lacks chatkit_server/page/index.html",
    ]


def test_the_sums_cover_all_other_files(tmp_path: Path) -> None:
    for name, content in {"a.whl": b"a", "b.cdx.json": b"b", release.SUMS: b"old"}.items():
        (tmp_path / name).write_bytes(content)
    release.write_sums(tmp_path)
    lines = (tmp_path / release.SUMS).read_text(encoding="utf-8").splitlines()
    assert lines == [f"{hashlib.sha256(name[:1].encode()).hexdigest()}  {name}" for name in ("a.whl", "b.cdx.json")]
