"""The bars of the next token, with every sampling step, redrawn in the browser."""
