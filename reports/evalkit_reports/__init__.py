"""Reports, one file each."""
REPORTS = ()
