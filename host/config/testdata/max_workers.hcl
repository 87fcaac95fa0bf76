host {
  max_workers = 3
}
pool "a" {
  size = 2
}
pool "b" {
  size = 2
}
