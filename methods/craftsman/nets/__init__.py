"""Networks that only CraftsMan needs: the shape autoencoder and the latent-set denoiser."""
