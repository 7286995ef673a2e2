"""What every part of NT stands on: the machine, its processors, whose code runs, its calls."""
