"""The order of tokens: shuffles, position schemes, rotations, and lengths beyond the trained one."""
