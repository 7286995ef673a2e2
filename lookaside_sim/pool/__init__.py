"""The modeled pool manager: blocks, pages, free lists, big allocations, tag accounting."""
