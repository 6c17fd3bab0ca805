"""Studies: a named set of runs that differ in some settings; each is an ordinary run."""
