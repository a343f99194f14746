# systemd-analyze, the judge of the unit file; nothing of systemd is started.
command -v systemd-analyze >/dev/null ||
  { apt-get -q update && apt-get -q -y install --no-install-recommends systemd; } >/dev/null
systemd-analyze --version | sed -n 1p
