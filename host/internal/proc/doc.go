// Package proc is the operating system's side of a worker: a [Process] is one
// started program with its process group and pipes, behind go-plugin's runner
// seam.
//
// It differs from go-plugin's own runner where that one can be made to hang or
// crash its host by a plugin: the exit of the process is seen although a
// grandchild holds its pipes; output of any length and shape is drained, made
// safe and logged; the handshake is checked before go-plugin sees it; signals go
// to the whole group, and never to a process that has been reaped.
package proc
