#!/bin/sh
# A zip for Python follows; this finds one that it was made for.
for name in python3 @NAMES@; do
  found=$(command -v "$name") || continue
  version=$("$found" -ISc 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  case " @PYTHONS@ " in *" $version "*) exec "$found" "$0" "$@" ;; esac
  seen="$seen; $name is $version"
done
echo "panotui: Python @PYTHONS@: none of them is on this machine$seen. Install one, or use the container; README.md of the .tar says how." >&2
exit 2
