"""Narrow number formats on the model's own numbers: bits, packing, and where fp16 and bf16 break."""
