# promtool, the judge of alert rules: taken out of Debian's prometheus, whose server is not wanted here.
tools="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/bin"
if [ ! -x "$tools/promtool" ]; then
  mkdir -p "$tools"
  fresh=$(mktemp -d)
  # Where the lists are stale or missing, they are fetched first.
  (cd "$fresh" && { apt-get -q download prometheus || { apt-get -q update && apt-get -q download prometheus; }; }) >/dev/null
  dpkg-deb -x "$fresh"/prometheus_*.deb "$fresh/x"
  install "$fresh/x/usr/bin/promtool" "$tools/promtool"
  rm -r "$fresh"
fi
"$tools/promtool" --version 2>&1 | sed -n 1p
