host {}
