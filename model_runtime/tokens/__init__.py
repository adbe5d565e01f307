"""Text to tokens: several tokenizers, words and letters, byte-pair encoding learned and replayed."""
