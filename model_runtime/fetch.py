"""The command `python -m model_runtime.fetch gpt2`: puts a model on this machine, for a server's links.

Links never make a server download what its operator did not choose (`loading/permitted`). This is how the
operator chooses: by a catalogue id, or by owner/name of the hub, with "@revision" if need be.
"""

import sys

from model_runtime.errors import GlassformerError
from model_runtime.loading.load import locate


def main(names: list[str]) -> int:
    """Fetch each model; 0 when all are here."""
    if not names:
        print("Name a model, for example: python -m model_runtime.fetch gpt2", file=sys.stderr)
        return 2
    for name in names:
        try:
            found = locate(name)
        except GlassformerError as error:
            print(f"{name}: not fetched. {error}", file=sys.stderr)
            return 1
        print(f"{found.name} is on this machine, revision {found.revision}: {found.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
