"""What a network is: card, registry, architectures and trained packages."""

import os

# Torch asks once, at its first array, whether large ones may lie on large pages (Linux): a tenth of the time saved.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
