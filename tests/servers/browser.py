"""A real browser without a window, with JavaScript: it opens a page and tells what became of it."""

import subprocess
import tempfile

from tests.servers.packages import CHROMIUM

_PATIENCE_SECONDS = 90


def opened(url: str, *, dark: bool = False) -> str:
    """The page's HTML once it is loaded, pictures included."""
    with tempfile.TemporaryDirectory(prefix="newsletter-browser-") as profile:
        done = subprocess.run(
            [
                str(CHROMIUM.path()),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={profile}",
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                "--dump-dom",
                url,
            ],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    return done.stdout
