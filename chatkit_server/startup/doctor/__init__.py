"""`chatkit-server doctor`: check that everything the settings name exists and works.

Changes nothing, besides a small file that it writes to a bucket and deletes again.
"""

from .deployment import examine_url
from .examination import examinable, examine
from .finding import Finding, is_well, report

__all__ = ["Finding", "examinable", "examine", "examine_url", "is_well", "report"]
