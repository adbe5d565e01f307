"""The whole forward pass in one picture."""
