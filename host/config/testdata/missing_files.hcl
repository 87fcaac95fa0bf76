pool "qa" {
  python {
    interpreter  = "nowhere/python3"
    requirements = "none.lock"
    path         = ["missing"]
  }
}
