"""Data in, plotly figure out.

Every figure is two pure steps: `x_record(values) -> frozen record`, `x_figure(record) -> Drawn`. Nothing in
here knows a model or a web page. `style` holds everything that must look the same everywhere: colours,
scales, templates, and how text and numbers are written; `drawn` is what a figure hands to the page.
"""
