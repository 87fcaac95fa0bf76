pool "qa" {
  command = ["sh"]
  module  = "acme"
  python {}
}
