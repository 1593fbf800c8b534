#!/usr/bin/env bash
# make-venv.sh DIR WHAT…   — a virtual environment in DIR with `pip install -e WHAT…`
# Takes the first Python of at least 3.11 ($PYTHON first). Where Debian's python3 lacks
# its venv module, root gets the package, and others are told its name.
set -euo pipefail
dir=${1:?make-venv.sh DIR WHAT…}
shift

die() { echo "make-venv.sh: $*" >&2; exit 1; }

find_python() {
  local name
  for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

install_packages() {
  local log
  echo "installing $* with apt-get …" >&2
  log=$({ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
    --no-install-recommends "$@"; } 2>&1) || die "cannot install $*: ${log##*$'\n'}"
}

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

python=$(find_python) || {
  can_apt || die "needs Python 3.11 or newer; on Debian or Ubuntu as root: apt-get install python3 python3-venv"
  install_packages python3 python3-venv
  python=$(find_python) || die "needs Python 3.11 or newer; this system's python3 is older"
}

if ! [ -x "$dir/bin/pip" ]; then
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    can_apt || die "$python lacks its venv module; as root: apt-get install $package"
    install_packages "$package"
  fi
  echo "making a virtual environment in $dir, about a minute …" >&2
  rm -rf "$dir"
  "$python" -m venv "$dir"
fi
exec "$dir/bin/python" -m pip install --quiet --disable-pip-version-check -e "$@"
