"""What stands around every page: title, parts, sidebar, errors, examples, proof."""
