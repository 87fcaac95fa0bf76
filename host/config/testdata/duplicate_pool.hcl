pool "qa" {}
pool "qa" {
  size = 2
}
