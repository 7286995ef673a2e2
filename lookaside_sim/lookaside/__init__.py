"""Lookaside lists: the structure, the routines on it, and what all lists of a machine share.

Glossary, and what each printed label shows:

* an *entry* is one fixed-size piece of memory that a list hands out and takes back;
* the *free entries* form an SLIST, a LIFO chain whose links lie in the first pointer of the
  entries themselves; *current depth* is how many there are now (``Current Depth``);
* the *depth* is how many there may be (field Depth, printed as ``Max Depth``);
* the *maximum depth* is the ceiling of the depth (field MaximumDepth, not printed).

A call falls through three rooms, each of which only knows the one below:
`list` (the hot path, on plain attributes) -> `steps` (the same routine, step by step, on
memory) -> `fields` (the structure). `place` says where the fields lie between two calls.
"""
