"""FlexiCubes (Shen et al., "Flexible isosurface extraction for gradient-based mesh optimization", 2023), batched."""
