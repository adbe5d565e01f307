"""Routes, compression and short-lived files of the server."""
