"""Attention taken apart: one head by stages, measures of all heads, masks, scale, cost."""
