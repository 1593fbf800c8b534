#!/usr/bin/env bash
# get-server.sh KIND   (mariadb10, mariadb11, mysql9 or valkey)
# Unpacks a server of another Debian suite, with its libraries, its client and its loader,
# under $AURORA_MYSQL_TREES/KIND (default /opt/mysql-trees) and prints that folder.
# Nothing is installed on the system. The mirror is the one that this machine's apt uses.
# Callers may run at the same time: one fetches, the others wait and find it there.
set -euo pipefail
kind=${1:?get-server.sh KIND}
trees=${AURORA_MYSQL_TREES:-/opt/mysql-trees}
tree=$trees/$kind

die() { echo "get-server.sh: $*" >&2; exit 1; }

case $kind in
mariadb10) suite=bookworm; packages=(mariadb-server mariadb-client) ;;
mariadb11) suite=trixie; packages=(mariadb-server-core mariadb-client-core mariadb-server) ;;
mysql9) suite=sid; packages=(mysql-server-core mysql-client-core mysql-router) ;;
valkey) suite=trixie; packages=(valkey-server) ;;
*) die "unknown kind $kind" ;;
esac

if [ -d "$tree" ]; then echo "$tree"; exit 0; fi
command -v apt-get >/dev/null || die "$kind is not in $tree, and there is no apt-get to fetch it"
mkdir -p "$trees" 2>/dev/null || die "cannot write $trees; run as root or set AURORA_MYSQL_TREES"
exec 9>"$trees/.$kind.lock" || die "cannot write $trees; run as root or set AURORA_MYSQL_TREES"
flock 9
if [ -d "$tree" ]; then echo "$tree"; exit 0; fi

mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
  awk '$1 == "URIs:" {print $2; exit}
       $1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; exit}}' || true)
[ -n "$mirror" ] || die "found no Debian mirror in apt's sources"

work=$(mktemp -d "$trees/.$kind.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,parts,tree}
: >"$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
# NoLocking: the locks in question are those of the system's dpkg, which is not touched.
options=(-qq -oDir::State::Lists="$work/lists" -oDir::Etc::sourcelist="$work/sources.list"
  -oDir::Etc::sourceparts="$work/parts" -oDir::Cache="$work/cache" -oDir::State::status="$work/status"
  -oAPT::Sandbox::User="$(id -un)" -oDebug::NoLocking=1 -oAcquire::Retries=3)
apt-get "${options[@]}" update >"$work/log" 2>&1 ||
  die "cannot fetch $kind from $suite: $(tail -n 1 "$work/log")"
apt-get "${options[@]}" install -y --no-install-recommends --download-only "${packages[@]}" >"$work/log" 2>&1 ||
  die "cannot fetch $kind from $suite: $(tail -n 1 "$work/log")"
for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
mv "$work/tree" "$tree"
echo "$tree"
