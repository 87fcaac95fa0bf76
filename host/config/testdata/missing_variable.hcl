variable "key" {
  type = string
}
pool "qa" {
  size = var.keys
}
