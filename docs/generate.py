"""Write docs/reference/ from the code. `make docs` runs it."""

from pathlib import Path

from generator import reference

REFERENCE = Path(__file__).parent / "reference"

if __name__ == "__main__":
    for file_name, content in reference().items():
        (REFERENCE / file_name).write_text(content, encoding="utf-8")
        print(REFERENCE / file_name)
