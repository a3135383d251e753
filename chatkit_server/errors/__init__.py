"""Every error that people see, and how it is put into words: for clients, for the log, for administrators."""
