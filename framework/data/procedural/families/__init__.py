"""The families of the procedural set: one builder per family, `builder(rng) -> Recipe` in the family's own units."""
