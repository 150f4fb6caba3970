"""Where a free variable may live. Solvers see one flat variable u (B, D); a domain says what each slice may hold.

A domain packs a value (B, *shape) into u and back, projects u onto itself, gives a starting point, and, where it is
bounded, a uniform prior. A finite domain also lists its K elements.
"""

from __future__ import annotations

from lowland.domains.base import Domain
from lowland.domains.continuous import Ball, Box, NonNegative, Reals, Simplex, Sparse, Sphere
from lowland.domains.discrete import Binary, OneHot
from lowland.domains.product import Product
from lowland.domains.tokens import Tokens

__all__ = [
    "Ball",
    "Binary",
    "Box",
    "Domain",
    "NonNegative",
    "OneHot",
    "Product",
    "Reals",
    "Simplex",
    "Sparse",
    "Sphere",
    "Tokens",
]
