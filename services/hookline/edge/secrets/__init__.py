"""The live secrets of each source, kept true while the edge serves.

secret          one of them, and which count at a moment
configured      those that hookline.toml names: variables and files
files           files, read again
stored          those of the database, opened
applied         what is handed to the sources, and what of it they have taken
live            all of it: read at the start, and kept true
trouble         what can't be read now: said once
"""

from hookline.edge.secrets.configured import check
from hookline.edge.secrets.live import LiveSecrets

__all__ = ["LiveSecrets", "check"]
