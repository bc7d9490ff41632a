"""The HTTP side of the services: responses, problem documents, OpenAPI, the servers and their limits."""
