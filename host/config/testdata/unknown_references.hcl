lm "main" {
  model = "openai/gpt-4o-mini"
}
pool "qa" {
  lm = "mian"
}
program "p" {
  pool      = "aq"
  signature = "q -> a"
}
