"""What stands around every page: bar, title, parts, sidebar, errors, examples, proof."""
