# Prometheus and promtool, the judges of metrics, alert rules and the dashboard's queries: unpacked, not installed.
tools="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/bin"
if [ ! -x "$tools/promtool" ] || [ ! -x "$tools/prometheus" ]; then
  mkdir -p "$tools"
  fresh=$(mktemp -d)
  apt="apt-get -q -o APT::Sandbox::User=root"
  # Where the lists are stale or missing, they are fetched first.
  (cd "$fresh" && { $apt download prometheus || { $apt update && $apt download prometheus; }; }) >/dev/null
  dpkg-deb -x "$fresh"/prometheus_*.deb "$fresh/x"
  install "$fresh/x/usr/bin/promtool" "$fresh/x/usr/bin/prometheus" "$tools"
  rm -r "$fresh"
fi
"$tools/promtool" --version 2>&1 | sed -n 1p
