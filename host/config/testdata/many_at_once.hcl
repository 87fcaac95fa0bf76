host {
  drain_timeout = 30
}
pool "a" {
  sise = 1
}
pool "b" {
  queue_timeout = "x"
}
