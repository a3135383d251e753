"""Try all endpoints and write the table into docs/models.md: `python -m tests.conformance`."""

from tests.conformance.table import main

main()
