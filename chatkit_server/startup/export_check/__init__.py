"""`chatkit-server migrate-workflow`: look at exports of Agent Builder, without importing them."""

from .check import MARKS, Checked, check_export, faults_of
from .env_lines import EnvLine, lines_for, shared_ids, write_lines

__all__ = ["MARKS", "Checked", "EnvLine", "check_export", "faults_of", "lines_for", "shared_ids", "write_lines"]
