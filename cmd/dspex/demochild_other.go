//go:build !linux

package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// childAttr gives a child its own process group.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// leftovers lists the processes that have a folder in their environment or on
// their command line, as far as ps shows them.
func leftovers(dir string) []leftover {
	out, err := exec.Command("ps", "-axEww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil
	}
	var found []leftover
	for _, line := range strings.Split(string(out), "\n") {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil && pid != os.Getpid() && strings.Contains(command, dir) {
			found = append(found, leftover{pid, command})
		}
	}
	return found
}
