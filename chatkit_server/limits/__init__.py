"""What users may do: rates, limits that the database keeps, and the order in which they get a full server's turns."""
