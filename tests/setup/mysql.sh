# MySQL of Debian sid: server, client, mysqlbinlog and mysqldump with the C library that they need, unpacked, not
# installed, and a data folder to start from.
home="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/mysql"
if [ ! -e "$home/ready" ]; then
  rm -rf "$home" "$home.fresh"
  lists="$home.fresh/apt"
  mkdir -p "$lists"/lists/partial "$lists"/cache/archives/partial "$lists/none" "$home.fresh/root"
  # Nothing is installed, as far as this apt knows: everything that it needs comes along.
  : >"$lists/status"
  mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$lists/sources.list"
  apt="apt-get -q -o Dir::Etc::sourcelist=$lists/sources.list -o Dir::Etc::sourceparts=- -o Dir::Etc::preferences=-
    -o Dir::Etc::preferencesparts=$lists/none -o Dir::State::lists=$lists/lists -o Dir::Cache=$lists/cache
    -o Dir::State::status=$lists/status -o APT::Install-Recommends=0 -o Acquire::Languages=none
    -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true"
  $apt update >/dev/null
  $apt -y --download-only install mysql-server-core mysql-client-core >/dev/null
  for package in "$lists"/cache/archives/*.deb; do
    case "$package" in
      */perl* | */libperl*) ;;
      *) dpkg-deb -x "$package" "$home.fresh/root" ;;
    esac
  done
  rm -r "$lists"
  # `run PROGRAM …`: with the C library that came along, which is newer than the system's.
  cat >"$home.fresh/run" <<'RUN'
#!/bin/sh
root="$(dirname "$0")/root"
program="$1"
shift
libraries="$root/usr/lib/x86_64-linux-gnu"
for folder in usr/sbin usr/bin; do
  if [ -x "$root/$folder/$program" ]; then
    exec "$libraries/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$libraries" "$root/$folder/$program" "$@"
  fi
done
echo "$program is not there" >&2
exit 127
RUN
  chmod +x "$home.fresh/run"
  # The system tables, made once; each test starts from a copy.
  root="$home.fresh/root"
  "$home.fresh/run" mysqld --no-defaults --user=root --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" \
    --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" \
    --secure-file-priv=NULL --datadir="$home.fresh/template" --innodb-redo-log-capacity=16M \
    --initialize-insecure >"$home.fresh/install.log" 2>&1 || { cat "$home.fresh/install.log" >&2; exit 1; }
  # A copy is another server, with a log of its own.
  rm -f "$home.fresh"/template/auto.cnf "$home.fresh"/template/binlog.*
  touch "$home.fresh/ready"
  mv "$home.fresh" "$home"
fi
"$home/run" mysqld --no-defaults --version
