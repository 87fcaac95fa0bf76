//go:build !linux

package main

import (
	"os/exec"
	"strings"
	"syscall"
)

// childAttr gives a child its own process group.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// leftovers lists the processes that have a folder in their environment or on
// their command line, as far as ps shows them.
func leftovers(dir string) []string {
	out, err := exec.Command("ps", "-axEww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil
	}
	var found []string
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, dir) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
