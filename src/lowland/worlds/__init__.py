"""Forward models of the world, their roll-outs, the costs of what happens in them, and how far they are to be trusted.

Shape letters: B samples, T time steps, A size of an action, Z of a latent, M masked units, K dropout masks.
"""

from __future__ import annotations
