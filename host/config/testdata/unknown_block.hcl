pool "qa" {
  healthy {
    interval = "5s"
  }
}
polo "x" {}
