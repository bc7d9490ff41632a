"""The HTTP side: the controllers, their query parameters, and the responses. No SQL is here."""
