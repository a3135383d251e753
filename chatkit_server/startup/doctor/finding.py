"""What a check of `doctor` found, and all of them as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: WARN if it may be intended, WRONG if it cannot work."""

    name: str
    text: str
    mark: Literal["ok", "WARN", "WRONG"] = "ok"


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.mark != "WRONG" for finding in findings)


def report(findings: Sequence[Finding]) -> str:
    """Return the findings as JSON: `{"ok": true, "findings": [{"name": ..., "text": ..., "mark": "ok"}]}`."""
    return json.dumps({"ok": is_well(findings), "findings": [asdict(finding) for finding in findings]}, indent=2)
