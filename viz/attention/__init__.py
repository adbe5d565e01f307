"""Figures of attention: heads, patterns, lines, masks, shared keys, cost, BertViz."""
