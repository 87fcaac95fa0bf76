pool "qa" {
  module = "os; rm"
  worker {
    preload = ["a-b"]
  }
}
