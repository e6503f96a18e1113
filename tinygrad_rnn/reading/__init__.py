"""What can be read off a program and its tape, for those who look: compiler, pictures, diagnosis."""
