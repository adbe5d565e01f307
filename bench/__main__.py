"""`python -m bench [part ...]`: measure, print, and rewrite the table in `bench/RESULTS.md`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path

from bench.measure import Row

PARTS = ("runtime", "memory", "export", "browser", "attention", "moe", "vectors", "gain", "stability")
HERE = Path(__file__).parent
RAW = HERE / "results.json"
TABLE = HERE / "RESULTS.md"


def load_raw() -> dict[str, list[dict[str, object]]]:
    return json.loads(RAW.read_text(encoding="utf-8")) if RAW.exists() else {}


def write_table(raw: dict[str, list[dict[str, object]]]) -> None:
    lines = [
        "# What `make bench` measured",
        "",
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, the default model in float32 on the CPU. Ratios are medians of pairs "
        "run in turn; the machine is shared, so read them to about 0.03.",
        "",
        "| what | measured | reach | reached | how |",
        "|---|---|---|---|---|",
    ]
    for part in PARTS:
        lines += [Row(**row).markdown() for row in raw.get(part, [])]  # type: ignore[arg-type]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=PARTS, metavar="part", help=f"of {', '.join(PARTS)}; default all"
    )
    raw = load_raw()
    for part in parser.parse_args().parts:
        rows = importlib.import_module(f"bench.{part}").rows()
        raw[part] = [asdict(row) for row in rows]
        for row in rows:
            print(row.markdown(), flush=True)
        RAW.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
        write_table(raw)


if __name__ == "__main__":
    main()
