pool "qa" {
  queue_timeout = 5000
}
