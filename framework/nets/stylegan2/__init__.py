"""StyleGAN2's parts in plain torch (Karras et al. 2020): resampling, layers, the residual discriminator."""
