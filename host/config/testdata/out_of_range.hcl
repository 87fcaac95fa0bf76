pool "qa" {
  size = 0
  worker {
    concurrency = 1.5
    max_message = "1KB"
  }
  health {
    max_error_rate = 2
  }
}
