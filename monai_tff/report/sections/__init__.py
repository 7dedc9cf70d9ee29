"""The sections of the report, one file each: what is read, what is drawn, what is said."""
