# MariaDB: server, client, mariadb-binlog and mariadb-dump, unpacked, not installed, and a data folder to start from.
home="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/mariadb"
if [ ! -e "$home/ready" ]; then
  rm -rf "$home" "$home.fresh"
  mkdir -p "$home.fresh/debs"
  apt="apt-get -q -o APT::Sandbox::User=root"
  # The libraries that a plain Debian does not have either.
  packages="mariadb-server-core mariadb-server mariadb-client-core mariadb-client libmariadb3
    libaio1 liburing2 libnuma1 libedit2 libbsd0 libmd0 libncurses6"
  # Where the lists are stale or missing, they are fetched first.
  (cd "$home.fresh/debs" && { $apt download $packages || { $apt update && $apt download $packages; }; }) >/dev/null
  for package in "$home.fresh"/debs/*.deb; do dpkg-deb -x "$package" "$home.fresh/root"; done
  rm -r "$home.fresh/debs"
  # `run PROGRAM …`: with the libraries that came along.
  cat > "$home.fresh/run" <<'RUN'
#!/bin/sh
root="$(dirname "$0")/root"
program="$1"
shift
for folder in usr/sbin usr/bin; do
  if [ -x "$root/$folder/$program" ]; then
    LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu" exec "$root/$folder/$program" "$@"
  fi
done
echo "$program is not there" >&2
exit 127
RUN
  chmod +x "$home.fresh/run"
  # The system tables, made once; each test starts from a copy.
  root="$home.fresh/root"
  mkdir -p "$home.fresh/template"
  LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu" \
    bash "$root/usr/bin/mariadb-install-db" --no-defaults --srcdir= --basedir="$root/usr" --builddir= \
    --datadir="$home.fresh/template" --user="$(id -un)" --auth-root-authentication-method=normal --skip-test-db \
    --innodb-log-file-size=16M >"$home.fresh/install.log" 2>&1 || { cat "$home.fresh/install.log" >&2; exit 1; }
  touch "$home.fresh/ready"
  mv "$home.fresh" "$home"
fi
"$home/run" mariadbd --no-defaults --version
