pool "qa" {
  size =
}
