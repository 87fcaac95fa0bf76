pool "QA" {}
pool "a b" {}
pool {}
pool "a" "b" {}
