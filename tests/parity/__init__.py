"""Against Hugging Face, torch and edited models."""
