pool "qa" {
  sizee    = 3
  max_rss  = "1GiB"
  mystery  = true
}
