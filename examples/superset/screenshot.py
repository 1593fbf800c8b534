"""A picture of a chart in a real browser: logs in as people do, waits for it, shoots.

screenshot.py URL CHART_URL USER PASSWORD FILE, in an environment with playwright, beside
Debian's chromium.
"""

import shutil
import sys

from playwright.sync_api import sync_playwright

ALONE = [
    "--no-sandbox",  # root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
"""Nothing but the pages asked for."""
TIMEOUT_MS = 90_000

url, chart_url, user, password, file = sys.argv[1:6]
chromium = shutil.which("chromium")
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=ALONE)
    page = browser.new_page(viewport={"width": 1400, "height": 800})
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{url}/login/")
    page.locator("#username").fill(user)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")
    page.wait_for_url(lambda where: "/login" not in where)
    page.goto(chart_url)
    page.locator(
        "[data-test=chart-container] canvas, .chart-container canvas"
    ).first.wait_for()
    page.wait_for_timeout(3000)  # its bars grow
    page.screenshot(path=file)
    browser.close()
