"""Recordings that other tools made, read as events of a heap trace."""
