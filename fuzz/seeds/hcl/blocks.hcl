a "b" {
  x = [1, "${y}"]
  t = <<E
z
E
}
