"""Figures of experts: routes, shares, load, domains, sizes."""
