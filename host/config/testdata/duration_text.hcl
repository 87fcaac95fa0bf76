pool "qa" {
  queue_timeout   = "5000"
  startup_timeout = "five"
}
