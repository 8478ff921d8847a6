#!/bin/sh
# Installs Panotui from this folder, without any network.
#   ./install.sh [PREFIX]    (default: /opt/panotui as root, else ~/.local/share/panotui)
set -eu
here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "install.sh: $1" >&2
  exit 2
}

python=""
for name in python3 @NAMES@; do
  found=$(command -v "$name") || continue
  version=$("$found" -ISc 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  case " @PYTHONS@ " in *" $version "*) python=$found && break ;; esac
done
[ -n "$python" ] || fail "Python @PYTHONS@: none of them is on this machine. README.md here says what to do."
machine=$("$python" -c 'import platform; print(platform.machine())')
case "$here/" in *"-linux-$machine/"*) ;; *) [ -n "${PANOTUI_ANY_MACHINE:-}" ] || fail "this is not the archive for $machine machines." ;; esac
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || fail "the archive is damaged: copy it anew."

if [ "$(id -u)" = 0 ]; then prefix=/opt/panotui bin=/usr/local/bin; else prefix=$HOME/.local/share/panotui bin=$HOME/.local/bin; fi
[ $# -ge 1 ] && prefix=$1 bin=$1/bin
"$python" -m venv --clear --without-pip "$prefix" 2>/dev/null || fail "$python cannot make a virtual environment in $prefix. On Debian: python3-venv; or name another folder."
set -- "$here"/wheels/pip-*.whl
"$prefix/bin/python" "$1/pip" --disable-pip-version-check install -q --no-index --no-cache-dir \
  --find-links "$here/wheels" --require-hashes -r "$here/requirements-$version.txt"
if [ "$bin" != "$prefix/bin" ]; then
  mkdir -p "$bin"
  ln -sf "$prefix/bin/panotui" "$bin/panotui"
fi
echo "Panotui $("$prefix/bin/panotui" --version | sed 's/.* //') is in $prefix; run $bin/panotui"
