variable "n" {
  type    = number
  default = "many"
  typo    = 1
}
variable "stage" {
  default = "test"
  validation {
    condition     = contains(["dev", "prod"], var.stage)
    error_message = "stage is dev or prod."
  }
}
pool "qa" {}
