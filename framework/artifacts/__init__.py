"""What passes between stages and to disk: pictures, sets of views, meshes, latent sets."""
