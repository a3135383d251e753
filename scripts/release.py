"""Build a release in dist/ and check it: `python scripts/release.py all`, or one step. CONTRIBUTING.md has them all.

Two builds of one commit have the same bytes. Nothing is uploaded or signed: the last line says what is left to do.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PROJECTS = (ROOT / "store", ROOT)
TWINE = "twine==7.0.0"
CYCLONEDX = "cyclonedx-bom==7.5.0"
SUMS = "SHA256SUMS"
NEVER_SHIPPED = re.compile(r"(^|/)(\.env|__pycache__|.*\.(pyc|db|map))$")


def version() -> str:
    """Return the version of both distributions, which only pyproject.toml states."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def build(dist: Path = DIST, projects: tuple[Path, ...] = PROJECTS) -> list[Path]:
    """Build sdists from the checkout, and each wheel from its sdist, as an index or a distributor would.

    Returns the files. They carry the time of SOURCE_DATE_EPOCH, or one constant time without it.
    """
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    for project in projects:
        _hatchling(project, "sdist", dist)
    with tempfile.TemporaryDirectory() as unpacked:
        for sdist in dist.glob("*.tar.gz"):
            with tarfile.open(sdist) as archive:
                archive.extractall(unpacked, filter="data")
            _hatchling(Path(unpacked, sdist.name.removesuffix(".tar.gz")), "wheel", dist)
    return sorted(dist.iterdir())


def _hatchling(project: Path, target: str, dist: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(dist)]
    subprocess.run(command, cwd=project, stdout=subprocess.DEVNULL, check=True)


def check(dist: Path = DIST) -> None:
    """Check what is in dist: names, contents, metadata, changelog. Raises `SystemExit` with what is wrong."""
    if wrong := faults(dist):
        raise SystemExit("\n".join(wrong))
    _uv("tool", "run", "--from", TWINE, "twine", "check", "--strict", *map(str, _distributions(dist)))


def faults(dist: Path) -> list[str]:
    """Return what is wrong with a release, as far as its names and contents show it."""
    number = version()
    names = {path.name for path in _distributions(dist)}
    expected = {
        f"chatkit_{part}-{number}{end}" for part in ("server", "store") for end in (".tar.gz", "-py3-none-any.whl")
    }
    wrong = [f"dist/{name} is missing" for name in sorted(expected - names)]
    wrong += [f"dist/{name} does not belong to {number}" for name in sorted(names - expected)]
    for wheel in dist.glob("*.whl"):
        content = ZipFile(wheel).namelist()
        wrong += [f"{wheel.name} contains {name}" for name in content if NEVER_SHIPPED.search(name)]
        needed = "chatkit_server/page/index.html" if "server" in wheel.name else "chatkit_store/_alembic/env.py"
        wrong += [] if needed in content else [f"{wheel.name} lacks {needed}"]
    if not re.search(rf"^## {re.escape(number)} - \d{{4}}-\d\d-\d\d$", _changelog(), re.MULTILINE):
        wrong.append(f"CHANGELOG.md has no dated section for {number}")
    return wrong


def _changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _distributions(dist: Path) -> list[Path]:
    return sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")])


def sbom(dist: Path = DIST) -> None:
    """Write CycloneDX documents: of the server with all extras in the locked versions, and of the page."""
    number = version()
    with tempfile.TemporaryDirectory() as folder:
        _uv("venv", "--quiet", folder)
        locked = ("--constraint", str(ROOT / "requirements.lock"))
        package = f"chatkit-server[all]=={number}"
        ours = ("--find-links", str(dist), "--refresh-package", "chatkit-server", "--refresh-package", "chatkit-store")
        _uv("pip", "install", "--quiet", "--python", folder, *locked, *ours, package)
        target = dist / f"chatkit-server-{number}.cdx.json"
        options = ("--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml"), "-o", str(target))
        _uv("tool", "run", "--from", CYCLONEDX, "cyclonedx-py", "environment", *options, folder)
    (dist / f"chatkit-server-page-{number}.cdx.json").write_text(_page_sbom(number), encoding="utf-8")


def _page_sbom(number: str) -> str:
    """Return npm's document of the locked packages, including those that only build the page.

    npm demands a version of the page, which has that of the server.
    """
    command = ["npm", "sbom", "--package-lock-only", "--sbom-format", "cyclonedx"]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "chatkit-server-web")  # npm takes the name of the folder for that of the component
        for name in ("package.json", "package-lock.json", "element/package.json"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "web" / name, folder / name)
        manifest = folder / "package.json"
        described = json.loads(manifest.read_text(encoding="utf-8")) | {"version": number}
        manifest.write_text(json.dumps(described), encoding="utf-8")
        printed = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    return _reproducible(printed)


def _reproducible(document: str) -> str:
    """Return npm's document without its time and random number, and without the address of whose registry was used."""
    bom: dict[str, Any] = json.loads(document)
    bom.pop("serialNumber", None)
    bom["metadata"].pop("timestamp", None)
    for component in bom["components"]:
        links = component.get("externalReferences", [])
        component["externalReferences"] = [link for link in links if link["type"] != "distribution"]
    return json.dumps(bom, indent=2) + "\n"


def write_sums(dist: Path = DIST) -> None:
    """Write the SHA-256 of each file of the release: the one file that must be signed."""
    files = sorted(path for path in dist.iterdir() if path.name != SUMS)
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (dist / SUMS).write_text("".join(lines), encoding="utf-8")


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


def _use_time_of_commit() -> None:
    """Date the files like the commit, unless SOURCE_DATE_EPOCH says otherwise or there is no git."""
    command = ["git", "log", "-1", "--format=%ct"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if shown.returncode == 0:
        os.environ.setdefault("SOURCE_DATE_EPOCH", shown.stdout.strip())


def main() -> None:
    """Run one step, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["build", "check", "sbom", "all"])
    step = parser.parse_args().step
    _use_time_of_commit()
    if step in ("build", "all"):
        build()
    if step in ("check", "all"):
        check()
    if step in ("sbom", "all"):
        sbom()
    write_sums()
    if step == "all":
        sys.stdout.write(
            f"dist is ready. Sign dist/{SUMS}, tag the commit v{version()}, and upload the wheels and sdists.\n"
        )


if __name__ == "__main__":
    main()
