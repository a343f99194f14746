# A real browser, for the status page.
command -v chromium >/dev/null ||
  { apt-get -q update && apt-get -q -y install --no-install-recommends chromium; } >/dev/null
chromium --version
