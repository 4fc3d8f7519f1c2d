"""What comes from outside and goes there: files, text, numbers, the machine, the terminal."""
