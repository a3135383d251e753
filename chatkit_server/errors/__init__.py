"""Errors, and their texts for clients, for the log and for administrators.

http.py              the errors that clients see, and the mapping from any other exception to them
failures.py          failures of models, tools and agents: their codes and texts
setup.py             errors that prevent the start; `chatkit-server` prints their text
database_problem.py  advice on database errors, for administrators
model_problem.py     advice on failures of a model's endpoint, for administrators
network.py           the reason of a failed connection
log_format.py        tracebacks for the log, without user content
outage.py            the log of a database outage
"""
