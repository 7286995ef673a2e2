"""Programs: steps to run against an allocator, written down or drawn."""
