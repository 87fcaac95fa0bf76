lm "main" {
  timeout = "5s"
}
pool "qa" {}
program "p" {
  pool = "qa"
}
