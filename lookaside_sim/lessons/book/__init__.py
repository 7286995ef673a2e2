"""The lessons themselves; `lookaside_sim.lessons.contents` puts them in order."""
