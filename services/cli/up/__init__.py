"""`hourbook up`: all services on this machine, with their servers, behind one HTTP address."""
