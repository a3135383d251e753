"""The distribution `chatkit-store`: what its wheel contains, and whether an installed one works without a checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MIGRATE = """
import asyncio, sys
from chatkit_store import migrations
assert migrations.scripts().parent.parent == __import__("pathlib").Path(sys.argv[1])
print(*asyncio.run(migrations.upgrade("sqlite:///migrated.db")))
"""


def run(*command: str, folder: Path, **environment: str) -> str:
    """Run a Python command in a folder and return its output."""
    result = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def build(source: Path, target: str, folder: Path) -> Path:
    """Build an sdist or a wheel of a project, as `pip wheel` does without isolation."""
    run("-m", "hatchling", "build", "--target", target, "--directory", str(folder), folder=source)
    (built,) = folder.iterdir()
    return built


def names_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store's sources beside the migrations, as in the repository."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("store", "alembic"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)  # has the version
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout."""
    return build(checkout / "store", "wheel", tmp_path_factory.mktemp("wheel"))


def test_wheel_contains_the_package_the_migrations_and_the_license(wheel: Path) -> None:
    modules = {f"chatkit_store/{path.name}" for path in (ROOT / "store/chatkit_store").glob("*.py")}
    versions = {f"chatkit_store/_alembic/versions/{path.name}" for path in (ROOT / "alembic/versions").glob("*.py")}
    alembic = {"chatkit_store/_alembic/env.py", "chatkit_store/_alembic/script.py.mako"}
    names = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert names == modules | versions | alembic | {"chatkit_store/py.typed"}
    (license,) = (name for name in names_in(wheel) if name.endswith("/licenses/LICENSE"))
    assert zipfile.ZipFile(wheel).read(license) == (ROOT / "LICENSE").read_bytes()


def test_wheel_built_from_an_sdist_is_the_same(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "sdist").mkdir()
    with tarfile.open(build(checkout / "store", "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    (tmp_path / "wheel").mkdir()
    assert names_in(build(source, "wheel", tmp_path / "wheel")) == names_in(wheel)


def test_installed_wheel_migrates_a_database(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target", str(site))
    run("-m", "pip", *install, str(wheel), folder=tmp_path)
    printed = run("-c", MIGRATE, str(site), folder=tmp_path, PYTHONPATH=str(site))
    assert printed.split() == sorted(path.name[:4] for path in (ROOT / "alembic/versions").glob("*.py"))
