"""Linegate: a quality gate for a production line.

This folder is only an import map: each sub-package is a link to a top-level folder of the repository,
because the top-level folder `inspect/` would shadow the standard library's `inspect` if it were a package itself.
See docs/decisions/0001-import-map.md.
"""

__version__ = "0.1.0"
