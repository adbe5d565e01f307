"""What one block changes for one token: what its attention read, and the guess before and after."""
