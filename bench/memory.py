"""What one visitor's long prompts cost a server: resident memory at most, page after page in one process.

Four prompts of 780 tokens, each read by Positions, Attention, Stability and Home in turn: the traces fill
their cache, the model is loaded in three number formats, and each script run has a thread of its own, as on a
server.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psutil
from streamlit.testing.v1 import AppTest

from bench.measure import Row
from model_runtime import load_model
from model_runtime.positions.length import long_text
from pages.shared.frame.contents import entry_of

ROUTER = Path(__file__).resolve().parents[1] / "pages" / "main.py"
N_PROMPTS, N_TOKENS, REACH = 4, 780, 4.0  # GB that README promises to do with
LOOKED_AT = (  # page, its part's setting and key: those that need most
    ("positions", {"place": "order"}),
    ("positions", {"place": "change"}),
    ("attention", {"part": "heads"}),
    ("attention", {"part": "stages"}),
    ("stability", {"stability": "order"}),
    ("stability", {"stability": "model"}),
    ("home", {}),
)


def prompts() -> list[str]:
    """Texts of so many tokens, all of them different."""
    model = load_model()
    ids = model.prompt_ids(long_text("plays")[:6_000])
    parts = [ids[start : start + N_TOKENS] for start in range(N_PROMPTS)]
    return [model.tokenizer.decode(part, skip_special_tokens=True) for part in parts]


def visit(prompt: str, page: str, part: dict[str, str]) -> None:
    app = AppTest.from_file(str(ROUTER), default_timeout=1_200)
    for key, value in {"prompt": prompt, **part}.items():
        app.query_params[key] = value
    app.run()
    if page != "home":
        app.switch_page(entry_of(page).file).run()
    assert not app.exception, (page, part, app.exception[0].value)


class Peak:
    """The most resident memory seen, in bytes, looked at 20 times a second."""

    def __init__(self) -> None:
        self.process, self.most = psutil.Process(), 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(0.05):
            self.most = max(self.most, self.process.memory_info().rss)

    def end(self) -> int:
        self.over.set()
        self.thread.join()
        return self.most


def main() -> None:
    """Visit all and print the peak and what is resident at the end, in bytes."""
    peak = Peak()
    for prompt in prompts():
        for page, part in LOOKED_AT:
            visit(prompt, page, part)
            now = psutil.Process().memory_info().rss
            print(f"{page} {part}: {now / 1e9:.2f} GB, at most {peak.most / 1e9:.2f} GB", file=sys.stderr)
    print(peak.end(), psutil.Process().memory_info().rss)


def rows() -> list[Row]:
    """In a process of its own."""
    printed = subprocess.run(
        [sys.executable, "-m", f"{__package__}.memory"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    peak, end = (int(word) / 1e9 for word in printed[-2:])
    what = f"resident memory at most, one visitor, {N_PROMPTS} prompts of {N_TOKENS} tokens over four pages"
    return [Row(what, peak, "GB", REACH, f"{end:.1f} GB at the end")]


if __name__ == "__main__":
    main()
