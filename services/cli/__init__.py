"""The command line `hourbook`. It starts the services as programs, and imports none of them."""
