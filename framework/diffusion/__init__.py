"""Denoising diffusion: schedules, training losses and samplers, on top of diffusers."""
