"""The rasterizer on NVIDIA Warp: kernels for CPU and CUDA from one source, faster than plain torch (extra `warp`)."""
