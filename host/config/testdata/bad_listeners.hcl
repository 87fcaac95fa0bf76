listener "tcp" "public" {
  address = "0.0.0.0:4680"
}
listener "tcp" "none" {}
listener "udp" "x" {}
listener "unix" "u" {
  mode    = "rw"
  address = "127.0.0.1:1"
}
listener "tcp" "tls" {
  address = "127.0.0.1:1"
  tls {}
}
pool "qa" {}
