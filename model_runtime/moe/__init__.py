"""A mixture of experts measured: routers' decisions, experts' outputs and effects, load, domains, sizes."""
