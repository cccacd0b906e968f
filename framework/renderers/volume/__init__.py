"""Pictures of fields: rays, samples along them, densities, compositing; behind `renderer.VolumeRenderer`.

A method brings a field (`fields.Field`) and says where to look and what a stretch of ray stops:

    def place(rays):
        span = inside_box(rays, -1.0, 1.0)
        return Placement(evenly(span, 64), span.hit, span.far)

    def cut(answers, rays, placement):
        lengths = gaps(placement.depths, placement.end - placement.depths[..., -1])
        return Stretches(density_opacity(answers.density, lengths), answers, placement.depths)

    SampledRenderer(place=place, cut=cut, background=(1.0, 1.0, 1.0)).render(field, camera_rays(camera, 64, 64))

`marched_renderer.MarchedRenderer` looks only into the full cells of an `occupancy_grid.OccupancyGrid`.
"""
