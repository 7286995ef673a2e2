"""Making what fails smaller: sequences, numbers, traces."""
