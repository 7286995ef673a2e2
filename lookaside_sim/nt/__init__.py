"""Documented NT names and values: types, codes and structure layouts, no behavior."""
