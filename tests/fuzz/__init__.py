"""Hostile use of the package itself; see README.md here."""
