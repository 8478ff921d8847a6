"""The two digests that Panotui takes of what it sees, without OpenSSL.

`hashlib` loads all of OpenSSL at once, 3.5 MB in every process, and takes short texts no faster
than the modules that Python falls back upon. Neither digest protects anything here: Community IDs
are SHA-1 by definition, and BLAKE2 names things.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # another Python keeps them elsewhere
    from hashlib import blake2b, sha1

__all__ = ["blake2b", "sha1"]
