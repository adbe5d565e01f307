"""Figures of embeddings: rows, similarities, projections, senses."""
