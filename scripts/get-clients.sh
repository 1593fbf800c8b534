#!/usr/bin/env bash
# get-clients.sh — the clients of tests/conformance, into .cache/clients (or $AURORA_CLIENTS)
# Python drivers and mycli in virtual environments of their own, node packages, Java drivers.
# As root, the Debian packages that are missing are installed as well: PHP, Perl, Go, R, ODBC.
# What is there stays; what cannot be had is named, and its tests are skipped.
set -uo pipefail
root=$(dirname "$(dirname "$(readlink -f "$0")")")
cache=${AURORA_CLIENTS:-$root/.cache/clients}
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9

missing() { echo "get-clients.sh: no $1" >&2; }
# What the compiler or setup.py says, not pip's summary of it.
reason() { grep -E '(fatal error|[Ee]rror|ERROR|Exception): ' "$1" | grep -v subprocess | head -n 1 | sed 's/^ *//' | cut -c 1-200; }
has_package() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# Debian: the command line, C API tests, a C compiler's view of the C library, ODBC, Java.
packages=(mariadb-client mariadb-test libmariadb-dev gcc pkg-config libmariadb-java odbc-mariadb unixodbc unzip
  php-cli php-mysql libdbd-mysql-perl libdbd-mariadb-perl golang-go golang-github-go-sql-driver-mysql-dev r-cran-rmysql)
command -v javac >/dev/null || packages+=(default-jdk-headless)
command -v npm >/dev/null || packages+=(npm)
# Python: its C headers, for mysqlclient, and venv, where Debian's own comes without them.
python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || packages+=(python3-dev)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
wanted=()
for package in "${packages[@]}"; do has_package "$package" || wanted+=("$package"); done
if [ ${#wanted[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    get() { apt-get -qq -oDPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" >"$cache/apt.log" 2>&1; }
    apt-get -qq -oDPkg::Lock::Timeout=120 update >"$cache/apt.log" 2>&1 || true
    # All at once is faster; one by one, a package that is not there leaves the others alone.
    get "${wanted[@]}" || for package in "${wanted[@]}"; do
      get "$package" || missing "$package: $(tail -n 1 "$cache/apt.log")"
    done
  else
    missing "${wanted[*]}: not root, or no apt"
  fi
fi

# Python: one by one, so that one that does not build leaves the others alone.
# mysql-connector-python 9.4.0: later ones have no C extension for Debian 12.
python=$cache/python/bin/python
[ -x "$python" ] || python3 -m venv "$cache/python" || missing "virtual environment"
for package in PyMySQL aiomysql asyncmy mysqlclient mysql-connector-python==9.4.0 pyodbc mariadb SQLAlchemy cryptography pynacl; do
  stamp=$cache/python/.have-$package
  [ -e "$stamp" ] || { "$python" -m pip install -q --disable-pip-version-check "$package" >"$cache/pip.log" 2>&1 && touch "$stamp"; } ||
    missing "$package: $(reason "$cache/pip.log")"
done

if [ ! -x "$cache/mycli/bin/mycli" ]; then
  { python3 -m venv "$cache/mycli" && "$cache/mycli/bin/python" -m pip install -q --disable-pip-version-check mycli; } >"$cache/pip.log" 2>&1 ||
    missing "mycli: $(reason "$cache/pip.log")"
fi

# Node.
if [ ! -d "$cache/node/node_modules/mysql2" ]; then
  npm install --silent --no-audit --no-fund --prefix "$cache/node" mysql2 mariadb mysql >"$cache/npm.log" 2>&1 ||
    missing "node packages: $(tail -n 1 "$cache/npm.log")"
fi

# Java. MySQL's driver comes inside a Python package, as there may be no Maven.
mkdir -p "$cache/java"
if [ ! -e "$cache/java/mariadb.jar" ]; then
  cp /usr/share/java/mariadb-java-client.jar "$cache/java/mariadb.jar" 2>/dev/null || missing "MariaDB Connector/J"
fi
if [ ! -e "$cache/java/mysql.jar" ]; then
  work=$(mktemp -d)
  { "$python" -m pip download -q --no-deps -d "$work" wbjdbc==2.4.0 &&
    unzip -qoj "$work"/*.whl 'wbjdbc/resources/maven/mysql/*.jar' -d "$work" &&
    mv "$work"/mysql-connector-j-*.jar "$cache/java/mysql.jar"; } >"$cache/java.log" 2>&1 ||
    missing "MySQL Connector/J: $(tail -n 1 "$cache/java.log")"
  rm -rf "$work"
fi
exit 0
