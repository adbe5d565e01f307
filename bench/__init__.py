"""What `make bench` measures: ratios in one run where machines are noisy, and the reach of each.

`python -m bench` runs everything and rewrites `bench/RESULTS.md`; `python -m bench runtime export` runs
some. A measure is never a test: a slow machine must not fail a build.
"""
