"""What a check of `doctor` found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: WARN if it may be intended, WRONG if it cannot work."""

    name: str
    text: str
    mark: Literal["ok", "WARN", "WRONG"] = "ok"
