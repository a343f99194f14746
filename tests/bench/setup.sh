# mydumper and myloader, unpacked beside MariaDB, whose libraries they use. For the bench only.
home="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/mydumper"
if [ ! -e "$home/ready" ]; then
  rm -rf "$home" "$home.fresh"
  mkdir -p "$home.fresh/debs"
  apt="apt-get -q -o APT::Sandbox::User=root"
  packages="mydumper libglib2.0-0 libpcre3"
  (cd "$home.fresh/debs" && { $apt download $packages || { $apt update && $apt download $packages; }; }) >/dev/null
  for package in "$home.fresh"/debs/*.deb; do dpkg-deb -x "$package" "$home.fresh/root"; done
  rm -r "$home.fresh/debs"
  cat > "$home.fresh/run" <<'RUN'
#!/bin/sh
root="$(dirname "$0")/root"
beside="$(dirname "$0")/../mariadb/root"
program="$1"
shift
libraries="usr/lib/x86_64-linux-gnu lib/x86_64-linux-gnu"
for folder in $libraries; do path="$path:$root/$folder:$beside/$folder"; done
LD_LIBRARY_PATH="${path#:}" exec "$root/usr/bin/$program" "$@"
RUN
  chmod +x "$home.fresh/run"
  touch "$home.fresh/ready"
  mv "$home.fresh" "$home"
fi
"$home/run" mydumper --version
