"""What else owns, uses or is charged for memory: drivers, processes, I/O, NT's own lists."""
