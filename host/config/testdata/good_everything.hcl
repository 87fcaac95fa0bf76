variable "n" {
  default = 2
}
locals {
  size = var.n * 2
}
lm "main" {
  model       = "openai/gpt-4o-mini"
  temperature = 0.5
  max_tokens  = 100
  extra       = { top_p = 0.9 }
}
pool "qa" {
  lm   = "main"
  size = local.size
  restart {
    mode = "transient"
  }
}
program "typed" {
  pool = "qa"
  signature = {
    inputs  = [{ name = "question", type = "str" }]
    outputs = [{ name = "answer", type = "str", desc = "short" }]
  }
  config = { temperature = 0.1 }
}
