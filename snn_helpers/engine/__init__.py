"""What makes the package fast, or says what is wrong; what is fast equals the plain code beside it, by a test."""
