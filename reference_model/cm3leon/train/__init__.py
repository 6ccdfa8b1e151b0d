"""Training of every part, in stages that resume: `python -m cm3leon.train --help`."""
