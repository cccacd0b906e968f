"""Continuous remeshing (Palfinger, "Continuous remeshing for inverse rendering", 2022): optimised vertices whose
triangles are collapsed, split and flipped between steps, so that their size follows how much there is to do."""
