"""Whether an allocator does what it promises: run beside the simulator and compared."""
