"""Runs compiled drivers: needs the extra ``drive``. What users call is `Kernel.load_image`."""
