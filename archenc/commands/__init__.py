"""The commands of archenc; what each of them does is elsewhere."""
