pool "qa" {
  size    = "many"
  enabled = "yes"
  module  = 7
  env     = ["a"]
  command = { a = 1 }
}
