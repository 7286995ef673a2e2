"""What the commands do, a module for each group; `lookaside_sim.kd.table` lists them."""
