"""The loss curve as a small SVG, written by hand so that training needs no plotting library."""

from __future__ import annotations

import csv
from pathlib import Path

COLOURS = {"plays": "#0072b2", "scripture": "#d55e00", "python": "#009e73", "arithmetic": "#cc79a7"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 50, 110, 40, 45


def loss_svg(folder: Path, name: str) -> str:
    """Held-out loss of each domain against training tokens, from `loss.csv`."""
    with open(folder / "loss.csv", newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    most, top = rows[-1]["tokens"], 8.0

    def at(row: dict[str, float], key: str) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * row["tokens"] / most
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(row[key], top) / top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif"'
        f' font-size="13"><title>{name}: held-out loss while training</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{LEFT}" y="22" font-size="15">{name}: held-out loss while training, nats a token (a sample of the text)</text>'
    ]
    for nats in range(0, int(top) + 1, 2):
        y = at({"tokens": 0, "": nats}, "")[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{nats}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = at({"tokens": most * share, "": 0}, "")[0]
        words = f"{most * share / 1e6:.1f} M"
        parts.append(f'<text x="{x}" y="{HEIGHT - 22}" text-anchor="middle">{words}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">training tokens</text>')
    ends = sorted(COLOURS, key=lambda key: at(rows[-1], key)[1])
    y_label = 0.0
    for domain in ends:
        points = " ".join("{:.1f},{:.1f}".format(*at(row, domain)) for row in rows)
        x, y = at(rows[-1], domain)
        y_label = max(y + 4, y_label + 15)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[domain]}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 6}" y="{y_label:.1f}" fill="{COLOURS[domain]}">{domain} {rows[-1][domain]:.2f}</text>')
    return "".join(parts) + "</svg>\n"
