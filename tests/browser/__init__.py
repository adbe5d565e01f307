"""The app in a real headless Chromium."""
