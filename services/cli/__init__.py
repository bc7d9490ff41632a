"""The command line `hourbook`: one command a file. It starts the services as programs, and imports none of them."""
