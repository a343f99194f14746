# The sqlite3 shell: the independent judge of what is in a file.
command -v sqlite3 >/dev/null || { apt-get -q update && apt-get -q -y install --no-install-recommends sqlite3; } >/dev/null
sqlite3 --version
