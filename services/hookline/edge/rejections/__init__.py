"""Keep what was refused, for people, and admit it once what was wrong is mended."""
