"""Small apps that `bench.browser` drives: the real figure frame, with nothing else in the way."""
