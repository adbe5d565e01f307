"""What the rules of `test_architecture` allow, as lists: doors between rooms, crossings, layout by hand."""

# room -> our own code that it may import; `app.py`, `bench` and tests may import everything, and nobody them
ALLOWED = {
    "pages": ("pages", "viz", "model_runtime"),
    "viz": ("viz", "model_runtime.records"),
    "model_runtime": ("model_runtime",),
}
# room -> libraries that it may not import
FORBIDDEN = {
    "pages": {"torch", "transformers", "plotly"},
    "viz": {"torch", "transformers", "streamlit"},
    "model_runtime": {"streamlit", "plotly", "kaleido"},
}
# The figure frame serves and exports figures, so it alone of the pages may hold plotly in its hands.
FIGURE_FRAME = {
    "pages/shared/figure/live_figure.py",
    "pages/shared/figure/export.py",
    "pages/shared/figure/scripts.py",
}
# Rooms of the runtime below the topics -> the lower ones that each may use. Topics and the files at the root
# may use all four; none of the four may use a topic.
LOWER_ROOMS: dict[str, tuple[str, ...]] = {
    "records": (),
    "capture": ("records",),
    "loading": ("records", "capture"),
    "sampling": ("records", "capture"),
}
# Topic to topic, and root to topic: each file that imports one of another topic. Each wants a reason.
CROSSINGS = {
    ("viz/positions/change.py", "viz/attention/pattern.py"),  # what a rotation changes is a pattern
    ("viz/positions/change.py", "viz/attention/pattern_map.py"),
    ("viz/positions/change.py", "viz/attention/head_grid.py"),
    ("viz/positions/change.py", "viz/attention/heads.py"),
}
# `# fmt: skip` keeps a layout by hand. Files that may, and how often at most: numbers only ever go down.
BY_HAND = {
    # tables that are read down their columns
    "model_runtime/moe/sizes.py": 1,
    "model_runtime/points.py": 1,
    # axes and traces that want a plainer layout
}
