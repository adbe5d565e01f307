"""Tokens as points: embeddings and their neighbours, projections, one word in several sentences."""
