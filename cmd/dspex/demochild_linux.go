package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// childAttr gives a child its own process group, and ends it if the demo is
// killed.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// leftovers lists the processes, other than this one and zombies, that have a
// folder in their environment or on their command line.
func leftovers(dir string) []leftover {
	var found []leftover
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Both are empty for a zombie, and unreadable for another user's process.
		environ, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if bytes.Contains(environ, []byte(dir)) || bytes.Contains(cmdline, []byte(dir)) {
			found = append(found, leftover{pid, strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))})
		}
	}
	return found
}
