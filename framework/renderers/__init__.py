"""Pictures of meshes: the rasterizer contract and its plain-torch implementation, shading, views and turntables."""
