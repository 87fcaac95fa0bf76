lm "main" {
  model   = "openai/gpt-4o-mini"
  api_key = env("OPENAI_API_KEY")
}
pool "qa" {}
