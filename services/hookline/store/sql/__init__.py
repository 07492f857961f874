"""The SQL that runs while events flow, one named statement per block."""
