"""Keep the citations that can be shown, and only links to web pages: one odd citation must not fail an answer."""

from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

MAX_URL = 4_000
MAX_TITLE = 500


def is_web_link(url: Any) -> bool:
    """Return whether this is an http or https URL. A model can be led to cite `javascript:` and `data:` URLs."""
    if not isinstance(url, str) or len(url) > MAX_URL:
        return False
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def host_of(url: str) -> str:
    """Return the host of a URL, or the URL itself."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def clean_citation(raw: Any, length: int | None = None) -> Json | None:
    """Return a citation of the Responses API with all fields of its kind, or None if it cannot be shown.

    `length` is that of the cited text, if it is known: indexes beyond it become its end.
    """
    if not isinstance(raw, dict):
        return None
    match raw.get("type"):
        case "url_citation" if is_web_link(raw.get("url")):
            url = raw["url"].strip()
            title = _text(raw.get("title")) or host_of(url)
            return raw | {"url": url, "title": title[:MAX_TITLE], **_range(raw, length)}
        case "file_citation" if name := _text(raw.get("filename")):
            file = {"file_id": _text(raw.get("file_id")), "filename": name[:MAX_TITLE]}
            return raw | file | {"index": _index(raw.get("index"), length, length or 0)}
        case "container_file_citation" if name := _text(raw.get("filename")):
            file = {"file_id": _text(raw.get("file_id")), "filename": name[:MAX_TITLE]}
            return raw | file | {"container_id": _text(raw.get("container_id")), **_range(raw, length)}
        case "file_path" if isinstance(raw.get("file_id"), str) and type(raw.get("index")) is int:
            return raw
    return None


def clean_citations(raw: Any, length: int | None = None) -> list[Json]:
    """Return the citations that can be shown."""
    cleaned = (clean_citation(entry, length) for entry in (raw if isinstance(raw, list) else []))
    return [citation for citation in cleaned if citation is not None]


def clean_chat_citations(raw: Any) -> list[Json]:
    """Return the citations of a Chat Completions delta, which nests the fields of a citation."""
    cleaned = []
    for entry in raw if isinstance(raw, list) else []:
        nested = entry.get("url_citation") if isinstance(entry, dict) else None
        fields = nested if isinstance(nested, dict) else entry
        citation = clean_citation({**fields, "type": "url_citation"}) if isinstance(fields, dict) else None
        if citation is not None:
            cleaned.append({"type": "url_citation", "url_citation": citation})
    return cleaned


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _index(value: Any, length: int | None, default: int) -> int:
    index = value if type(value) is int and value >= 0 else default
    return index if length is None else min(index, length)


def _range(raw: Json, length: int | None) -> Json:
    end = _index(raw.get("end_index"), length, length or 0)
    return {"start_index": min(_index(raw.get("start_index"), length, 0), end), "end_index": end}
