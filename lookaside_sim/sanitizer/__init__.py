"""Lists that notice being misused: `list` has the checks, `accesses` sees touches and frees, `records` what is known."""
