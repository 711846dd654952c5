"""What makes the package fast, and nothing else: each piece equals the plain code it stands for, by a test."""
