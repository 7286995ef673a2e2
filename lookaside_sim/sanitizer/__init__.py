"""Lists that notice being misused: `list` has the checks, `records` what is known of entries."""
