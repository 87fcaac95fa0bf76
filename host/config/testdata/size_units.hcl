session {
  max_bytes = 1048576
}
pool "qa" {
  recycle {
    max_rss = "lots"
  }
}
