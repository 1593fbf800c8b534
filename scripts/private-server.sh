#!/usr/bin/env bash
# private-server.sh start KIND DIR PORT [server option…]
# private-server.sh stop DIR [now]
#
# A throw-away MySQL or MariaDB on 127.0.0.1:PORT, for tests and demos.
#   KIND  mariadb10, mariadb11 or mysql9; fetched by get-server.sh where it is missing
#   DIR   a folder of its own: data/, tmp/, run/m.sock, run/m.pid, run/err.log
#   PORT  0 takes a free one
# start prints the port and returns when the server answers. root has no password over
# the socket and from 127.0.0.1. stop ends the server by its pid and waits for it; with
# "now" it is killed, for data that nobody wants any more.
# AURORA_MYSQL_TREES is where unpacked servers live (default /opt/mysql-trees).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

die() { echo "private-server.sh: $*" >&2; exit 1; }
first_error() { grep -i 'error' "$dir/run/init.log" | head -n 1; }

stop() {
  local pid
  pid=$(cat "$1/run/m.pid" 2>/dev/null) || return 0
  [ "${2-}" != now ] || { kill -9 "$pid" 2>/dev/null || true; return 0; }
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

case ${1-} in
stop) stop "${2:?DIR}" "${3-}"; exit 0 ;;
start) shift ;;
*) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
[ $# -ge 3 ] || die "start KIND DIR PORT [server option…]"
kind=$1 dir=$2 port=$3
shift 3
[ "$port" != 0 ] || port=$(free_port)

mkdir -p "$dir/data" "$dir/run" "$dir/tmp"
chmod 755 "$dir"
if [ "$(id -u)" = 0 ]; then
  user=mysql
  id mysql >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin mysql
  chown -R mysql "$dir"
else
  user=$(id -un)
fi

# The server program of this machine where it is of the right version, else an unpacked
# one, run with the loader and the libraries it was built with.
base=() more=()
use_tree() {
  tree=$("$here/get-server.sh" "$kind")
  libraries=$(echo "$tree"/usr/lib/*-linux-gnu)
  loader=$(echo "$libraries"/ld-linux*.so.*)
  if [ ! -e "$loader" ]; then loader=$(echo "$tree"/lib*/ld-linux*.so.* "$tree"/lib/*-linux-gnu/ld-linux*.so.*); loader=${loader%% *}; fi
  base=("$loader" --library-path "$libraries:$tree/lib/$(basename "$libraries")" "$tree/usr/sbin/$1")
}
use_mariadb_tree() {
  use_tree mariadbd
  share=$tree/usr/share/mariadb
  [ -e "$share/mariadb_system_tables.sql" ] || share=$tree/usr/share/mysql
  more=(--basedir="$tree/usr" --lc-messages-dir="$share" --character-sets-dir="$share/charsets"
    --plugin-dir="$tree/usr/lib/mysql/plugin")
}
initialise_mariadb_tree() {
  # The files and the order of mariadb-install-db; their prefix is mariadb_, mysql_ or maria_.
  local name files=()
  for name in system_tables performance_tables system_tables_data fill_help_tables add_gis_sp_bootstrap sys_schema; do
    for file in "$share"/{mariadb_,mysql_,maria_,}"$name".sql; do
      [ ! -e "$file" ] || files+=("$file")
    done
  done
  { printf 'create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n'
    cat "${files[@]}"
  } | "${base[@]}" --no-defaults --bootstrap --user="$user" --datadir="$dir/data" "${more[@]}" \
    --log-warnings=0 --enforce-storage-engine= --max_allowed_packet=8M >"$dir/run/init.log" 2>&1
}

again() { # once in a while, under load, bootstrapping aborts
  cp "$dir/run/init.log" "$dir/run/init.first.log"
  find "$dir/data" -mindepth 1 -delete
  initialise_mariadb_tree
}

case $kind in
mariadb10)
  if [[ $(mariadbd --version 2>/dev/null) == *" 10."* ]]; then
    base=(mariadbd)
    [ -d "$dir/data/mysql" ] || mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" \
      --auth-root-authentication-method=normal --skip-test-db >"$dir/run/init.log" 2>&1 ||
      die "mariadb-install-db: $(first_error)"
  else
    use_mariadb_tree
    [ -d "$dir/data/mysql" ] || initialise_mariadb_tree || again || die "bootstrap: $(first_error)"
  fi ;;
mariadb11)
  use_mariadb_tree
  [ -d "$dir/data/mysql" ] || initialise_mariadb_tree || again || die "bootstrap: $(first_error)" ;;
mysql9)
  use_tree mysqld
  share=$tree/usr/share/mysql
  more=(--basedir="$tree/usr" --lc-messages-dir="$share")
  [ -d "$dir/data/mysql" ] || "${base[@]}" --no-defaults --initialize-insecure --user="$user" --datadir="$dir/data" \
    "${more[@]}" --innodb-redo-log-capacity=8M --log-error="$dir/run/init.log" >/dev/null 2>&1 ||
    die "initialize: $(first_error)"
  more+=(--character-sets-dir="$share/charsets" --plugin-dir="$tree/usr/lib/mysql/plugin" --secure-file-priv=NULL
    --mysqlx=OFF --performance-schema=OFF --innodb-redo-log-capacity=64M) ;;
*) die "unknown kind $kind" ;;
esac

# A folder of its own for temporary tables: a MariaDB that starts removes what it finds.
setsid "${base[@]}" --no-defaults --user="$user" --datadir="$dir/data" --tmpdir="$dir/tmp" --socket="$dir/run/m.sock" --port="$port" \
  --bind-address=127.0.0.1 --pid-file="$dir/run/m.pid" --log-error="$dir/run/err.log" "${more[@]}" "$@" \
  </dev/null >/dev/null 2>&1 &
server=$!
for _ in $(seq 600); do
  if [ -e "$dir/run/m.pid" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "$port"
    exit 0
  fi
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
kill "$server" 2>/dev/null || true
die "$kind did not start: $(grep -iE 'error' "$dir/run/err.log" | head -n 1)"
