"""How one forward pass is watched and edited: hooks set once, a collector a request, a bounded cache."""
