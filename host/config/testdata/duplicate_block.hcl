pool "qa" {
  queue {}
  queue {}
}
host {}
host {}
