"""What a request asks: its parameters, checked, as values that are equal when the questions are."""
