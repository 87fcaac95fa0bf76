host {
  on_exit = "keep"
}
pool "qa" {
  autoscale {
    min = 1
    max = 2
  }
  queue {
    order = "fair"
  }
}
auth {}
