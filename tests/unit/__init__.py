"""One piece at a time, with numbers derived by hand."""
