session {
  default_ttl = "8d"
  max_ttl     = "7d"
}
pool "qa" {
  size      = 2
  min_ready = 3
  restart {
    backoff     = "1m"
    max_backoff = "1s"
  }
}
