"""Figures of order: shuffles, schemes, turning pairs, lengths."""
