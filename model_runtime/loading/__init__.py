"""From a name to a loaded model: catalogue, hub, folders, GGUF files, device and number format."""
