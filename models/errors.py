"""What can be wrong with a bundle."""

from __future__ import annotations

from linegate.cameras.errors import LinegateError


class BundleError(LinegateError):
    """A bundle is incomplete, changed since it was released, or contradicts itself."""
