"""What ntoskrnl.exe and hal.dll export to compiled code: one module a subject."""
