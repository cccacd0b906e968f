"""Pictures of fields: rays, samples along them, densities, compositing; behind `renderer.VolumeRenderer`."""
