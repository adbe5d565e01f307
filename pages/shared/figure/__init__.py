"""The one live figure that every page uses: drawn in place, clicked, moved by sliders, exported."""
