"""Everything that changes a picture, and its way to the URL and back."""
