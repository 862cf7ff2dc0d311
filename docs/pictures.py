"""Take README.md's pictures from the demo's run: make demo; .venv/bin/python docs/pictures.py (needs chromium)."""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
REPORT = DOCS.parent / "runs/demo/plot/report"
IMAGES = DOCS / "images"
CHROMIUM = "/usr/bin/chromium"
WINDOW = {"width": 1100, "height": 620}

if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    shutil.copyfile(REPORT / "plots/episode_000/cumulative_positions.png", IMAGES / "positions.png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW, color_scheme="light")
        page.goto((REPORT / "report.html").as_uri())
        page.screenshot(path=IMAGES / "report.png")
        browser.close()
    print(*sorted(IMAGES.iterdir()), sep="\n")
