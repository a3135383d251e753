"""What happens before the server serves, and what checks that it can."""
