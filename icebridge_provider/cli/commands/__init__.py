"""One module a topic; each function takes the parsed arguments and the output, and returns an answer."""
