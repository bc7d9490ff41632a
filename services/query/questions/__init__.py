"""Questions: the checked parameters of a request as frozen values. Equal questions are equal values."""
