host {
  log_level = "inof"
}
pool "qa" {
  restart {
    mode = "permament"
  }
}
